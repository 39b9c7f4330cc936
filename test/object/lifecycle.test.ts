import { describe, expect, it } from 'vitest';
import { Lifecycle } from '../../src/backends/contract/lifecycle.ts';
import { VarveError } from '../../src/core/errors.ts';

describe('the lifecycle of a store', () => {
  it('throws what work throws, also an abort without a cause', async () => {
    const aborted = new VarveError('ABORTED', 'a request was aborted');
    await expect(new Lifecycle('here', true).run(() => Promise.reject(aborted))).rejects.toBe(
      aborted,
    );
  });

  it('throws that the store was closed when closing ends work', async () => {
    const lifecycle = new Lifecycle('here', true);
    const signal = lifecycle.beginLong();
    const working = lifecycle.run(async () => {
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
      throw new VarveError('ABORTED', 'work was aborted', { cause: signal.reason });
    });
    const closing = lifecycle.close(async () => {});
    await expect(working).rejects.toMatchObject({ code: 'CLOSED' });
    await closing;
  });
});
