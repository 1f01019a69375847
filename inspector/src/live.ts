/** Listens to programs that show their heaps (`expose` of wasm-mempool/inspector), on a BroadcastChannel and on ports. */
import type { HeapMap } from "../../src/inspect/heap-map.ts";
import type { Channel } from "../../src/inspector/expose.ts";
import { messageIn, Receiver, TAG, type ElementMessage } from "../../src/inspector/protocol.ts";

export interface Listener {
  /** A program is there that was not before, or is gone. */
  programs(names: ReadonlyMap<string, string>): void;
  map(program: string, map: HeapMap, changed: Uint32Array | undefined): void;
  element(message: ElementMessage): void;
}

const LOOK_MS = 1000;

export class Live {
  readonly #listener: Listener;
  readonly #channels = new Map<Channel, () => void>();
  readonly #receivers = new Map<string, { readonly receiver: Receiver; readonly channel: Channel; name: string }>();
  #timer: number | undefined;

  constructor(listener: Listener) {
    this.#listener = listener;
  }

  get isListening(): boolean {
    return this.#channels.size > 0;
  }

  listen(channel: Channel): void {
    const take = ({ data }: { readonly data: unknown }): void => this.#take(channel, data);
    channel.addEventListener("message", take);
    channel.start?.();
    this.#channels.set(channel, () => channel.removeEventListener("message", take));
    this.#look();
    this.#timer ??= setInterval(() => this.#look(), LOOK_MS) as unknown as number;
  }

  stop(): void {
    for (const [channel, stop] of this.#channels) {
      stop();
      channel.close?.();
    }
    this.#channels.clear();
    this.#receivers.clear();
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#tell();
  }

  ask(program: string, address: number): void {
    this.#receivers.get(program)?.channel.postMessage({ tag: TAG, type: "ask", program, address });
  }

  #look(): void {
    if (document.hidden) return;
    for (const channel of this.#channels.keys()) {
      const own = [...this.#receivers.values()].filter((each) => each.channel === channel);
      const since = own.length === 0 ? 0 : Math.min(...own.map(({ receiver }) => receiver.number));
      channel.postMessage({ tag: TAG, type: "look", since });
    }
  }

  #tell(): void {
    this.#listener.programs(new Map([...this.#receivers].map(([program, { name }]) => [program, name])));
  }

  #take(channel: Channel, data: unknown): void {
    const message = messageIn(data);
    if (message?.type === "map") {
      let own = this.#receivers.get(message.program);
      if (!own) {
        this.#receivers.set(message.program, (own = { receiver: new Receiver(), channel, name: message.name }));
        this.#tell();
      }
      const isWhole = own.receiver.number > 0;
      const taken = own.receiver.take(message);
      if (taken) this.#listener.map(message.program, taken.map, taken.changed);
      else if (isWhole || !own.receiver.map) this.#look();
    } else if (message?.type === "gone") {
      this.#receivers.delete(message.program);
      this.#tell();
    } else if (message?.type === "element") this.#listener.element(message);
  }
}
