/** The pages are the repository's own documents, so their links are those of the repository. This makes them links of the site. */
import { posix } from "node:path";

/** Where the site has a file that is no page of its own; undefined: nowhere. */
const placeOf = (target) => {
  const header = /^include\/(\w+)\.h$/.exec(target);
  return header ? `/docs/generated/abi/${header[1]}` : undefined;
};

/** A page that the site has as it is, with what it loads beside it: scripts/docs.mjs copies it. */
const PLAYGROUND = "playground/index.html";

/** A plugin of markdown-it: links to files that the site lacks become plain text, those to C headers lead to their pages. */
export function siteLinks(md, base) {
  md.core.ruler.push("site-links", ({ tokens, env }) => {
    for (const { children } of tokens) if (children) mend(children, env.relativePath ?? "", base);
  });
}

function mend(tokens, page, base) {
  let isDropped = false;
  for (const token of tokens) {
    if (token.type === "link_open") {
      const href = token.attrGet("href");
      if (/^([a-z]+:|\/|#)/.test(href) || /\.md(#|$)/.test(href)) continue;
      const [to] = href.split("#");
      const target = posix.normalize(posix.join(posix.dirname(page), to));
      const place = placeOf(target);
      if (place) token.attrSet("href", place);
      else if (target === PLAYGROUND) {
        token.attrSet("href", base + PLAYGROUND);
        token.attrSet("target", "_self"); // so that VitePress loads it, and does not look for a page of its own
      } else {
        isDropped = true;
        Object.assign(token, { type: "text", content: "", tag: "", nesting: 0 });
      }
    } else if (token.type === "link_close" && isDropped) {
      isDropped = false;
      Object.assign(token, { type: "text", content: "", tag: "", nesting: 0 });
    }
  }
}
