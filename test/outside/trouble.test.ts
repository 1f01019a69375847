/** docs/memory-trouble.md: each sample prints what the document says. `npx tsx test/outside/trouble.ts` writes it. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { document, run, samplesIn } from "./trouble.ts";

const text = readFileSync(document, "utf8");
const samples = samplesIn(text);

test("there is a sample for each section", () => {
  const titles = [...text.matchAll(/^## (.*)$/gm)].map(([, title]) => title);
  expect([...new Set(samples.map(({ title }) => title))]).toEqual(titles);
  expect(text.match(/```js\n/g)).toHaveLength(samples.length);
});

test("the table of symptoms leads to the sections", () => {
  const anchors = [...text.matchAll(/^## (.*)$/gm)].map(([, title]) => title!.toLowerCase().replaceAll(" ", "-"));
  expect([...text.matchAll(/\]\(#([\w-]+)\)/g)].map(([, anchor]) => anchor)).toEqual(anchors);
});

test.each(samples.map((sample, i) => [`${i}: ${sample.title}`, sample] as const))("%s", async (_title, sample) => {
  expect(sample.output).not.toBe(undefined);
  expect(await run(sample)).toBe(sample.output);
});
