import type { SingleBar } from 'cli-progress';
import { bytes } from '../messages/human.ts';
import type { Terminal } from './terminal.ts';

/** Shows the progress of a command on standard error, only when that is a terminal. */
export interface Progress {
  /** `total` may grow, and is 0 while it is unknown. */
  update(done: number, total: number, note: string): void;
  stop(): void;
}

/** Shows nothing. */
export const SILENT: Progress = { update: () => undefined, stop: () => undefined };

/** Shows `done` and `total` as sizes or as plain counts, on `stream`. */
export async function startProgress(
  label: string,
  unit: 'bytes' | 'items',
  stream: Terminal['stderr'],
): Promise<Progress> {
  if (!stream.isTTY) return SILENT;
  const { default: cliProgress } = await import('cli-progress');
  const value = (n: number) => (unit === 'bytes' ? bytes(n) : n.toLocaleString('en-US'));
  let bar: SingleBar | undefined;
  return {
    update(done, total, note) {
      bar ??= start(new cliProgress.SingleBar({ ...optionsFor(label, value), stream }), total);
      bar.setTotal(Math.max(total, done, 1));
      bar.update(done, { note, known: total > 0 });
    },
    stop() {
      bar?.stop();
      bar = undefined;
    },
  };
}

function start(bar: SingleBar, total: number): SingleBar {
  bar.start(Math.max(total, 1), 0, { note: '', known: total > 0 });
  return bar;
}

function optionsFor(label: string, value: (n: number) => string) {
  return {
    clearOnComplete: true,
    hideCursor: true,
    fps: 10,
    // The total of a pipe is unknown: show a count instead of a bar.
    format: (
      _options: unknown,
      state: { value: number; total: number; progress: number },
      extra: { note: string; known: boolean },
    ) => {
      if (!extra.known) return `${label}  ${value(state.value)}  ${extra.note}`;
      const filled = Math.round(state.progress * 24);
      const drawn = '='.repeat(filled) + ' '.repeat(24 - filled);
      return `${label} [${drawn}] ${value(state.value)} of ${value(state.total)}  ${extra.note}`;
    },
  };
}
