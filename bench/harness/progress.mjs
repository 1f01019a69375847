/** Progress on standard error: a changing line on a terminal, nothing elsewhere. */
export function progressLine({ stream = process.stderr, env = process.env } = {}) {
  const live = stream.isTTY && env.TERM !== "dumb";
  const width = () => Math.max(20, (stream.columns || 80) - 1);
  const erase = () => (env.NO_COLOR ? `\r${" ".repeat(width())}\r` : "\r\x1b[K");
  let last = 0;
  return {
    /** Shows the progress, on a terminal, at most ten times a second. */
    at(fraction, label) {
      if (!live || performance.now() - last < 100) return;
      last = performance.now();
      const bar = "=".repeat(Math.round(20 * fraction)).padEnd(20, " ");
      const text = `[${bar}] ${String(Math.floor(100 * fraction)).padStart(3)} %  ${label}`;
      stream.write(`${erase()}${text.slice(0, width())}`);
    },
    /** Writes a line that stays, on a terminal or not. */
    say(text) {
      stream.write(`${live ? erase() : ""}${text}\n`);
    },
    end() {
      if (live) stream.write(erase());
    },
  };
}
