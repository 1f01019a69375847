/** A picture that a document has in light colours is shown in dark ones on a dark page, where there is such a file beside it. */
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";

const LIGHT = /-light\.png$/;

/** A plugin of markdown-it: NAME-light.png becomes two pictures, of which the theme's style shows one. */
export function darkPictures(md, root) {
  md.core.ruler.push("dark-pictures", ({ tokens, env }) => {
    const folder = join(root, dirname(env.relativePath ?? ""));
    for (const inline of tokens)
      if (inline.children) inline.children = inline.children.flatMap((each) => both(each, folder));
  });
}

function both(token, folder) {
  const src = token.type === "image" ? token.attrGet("src") : "";
  const other = src.replace(LIGHT, "-dark.png");
  if (other === src || !existsSync(join(folder, other))) return [token];
  const dark = Object.assign(Object.create(Object.getPrototypeOf(token)), token, {
    attrs: token.attrs.map((pair) => [...pair]),
  });
  dark.attrSet("src", other);
  token.attrJoin("class", "light-only");
  dark.attrJoin("class", "dark-only");
  return [token, dark];
}
