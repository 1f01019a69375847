/**
 * Doubly linked lists through structs that begin with a Link. The word at `head` is the address of the first, 0 if there
 * is none; the first one's prev is 0.
 */
import { Link } from "./layout";

export function listPush(head: usize, node: Link): void {
  const next = load<u32>(head);
  node.next = next;
  node.prev = 0;
  if (next) changetype<Link>(next).prev = changetype<usize>(node);
  store<u32>(head, changetype<u32>(node));
}

export function listRemove(head: usize, node: Link): void {
  const next = node.next;
  const prev = node.prev;
  if (next) changetype<Link>(next).prev = prev;
  store<u32>(prev ? prev + offsetof<Link>("next") : head, next);
}
