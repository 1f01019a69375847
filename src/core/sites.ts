/**
 * Call sites, for the calls of the hit path. An engine inlines what it knows of a call at the place where it learnt that: so
 * where each place calls one function it is a direct call, and where one place calls the functions of several heaps it takes
 * twice as long. So `Pool.alloc` and `Pool.free` have several places that do the same, and pools on different heaps, or with
 * another function, use different ones.
 */

/** The last is for all that find no other. */
const LAST_SITE = 4;
const vacant = [0, 1, 2, 3];

export const takeSite = (): number => vacant.shift() ?? LAST_SITE;

/** Goes to the end: until its turn comes the engine may have forgotten the heap that has ended. */
export const returnSite = (site: number): void => {
  if (site < LAST_SITE) vacant.push(site);
};
