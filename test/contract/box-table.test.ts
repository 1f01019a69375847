/** The table of a backend's elements, against a Map. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { BoxTable } from "../../src/pool/boxes.ts";

const element = fc.oneof(fc.integer({ min: 1, max: 60 }), fc.integer({ min: 2 ** 32 - 60, max: 2 ** 32 - 1 }));
const step = fc.record({ element, box: fc.integer({ min: 1, max: 2 ** 32 - 1 }), what: fc.constantFrom(0, 1, 1, 2) });

test("the table has what was set and not deleted since", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), fc.boolean(), (steps, expects) => {
      const map = new Map<number, number>();
      const table = new BoxTable(() => true);
      for (const { element: key, box, what } of steps) {
        if (what === 1) {
          map.set(key, box);
          table.set(key, box);
        } else if (what === 2) {
          map.delete(key);
          table.delete(key);
        } else if (expects) table.expect(key % 200);
        expect(table.get(key)).toBe(map.get(key) ?? 0);
      }
      for (let key = 0; key <= 60; key++) {
        expect(table.get(key)).toBe(map.get(key) ?? 0);
        expect(table.get(2 ** 32 - 1 - key)).toBe(map.get(2 ** 32 - 1 - key) ?? 0);
      }
    }),
  );
});

test("the table grows with what stays alone", () => {
  const stays = new Set([5, 500, 5000]);
  let asked = 0;
  const table = new BoxTable((key, box) => {
    asked++;
    expect(box).toBe(key + 1);
    return stays.has(key);
  });
  for (let key = 1; key <= 10_000; key++) table.set(key, key + 1);
  for (const key of stays) expect(table.get(key)).toBe(key + 1);
  expect(table.get(1)).toBe(0);
  // A table that keeps all is asked about each when it doubles.
  expect(asked).toBeGreaterThan(5000);
});
