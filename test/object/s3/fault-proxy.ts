import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/**
 * A fault of one exchange. `drop-reply`: the request is carried out, and the connection ends before
 * the first byte of the answer; `reset`: the same, with RST; `refuse`: the connection ends before
 * the first byte of the request is passed on; `truncate`: the answer ends after its first `bytes`;
 * `delay`: the answer comes later; `throttle`: the answer comes slowly.
 */
export type Fault =
  | { readonly kind: 'drop-reply' | 'reset' | 'refuse' }
  | { readonly kind: 'truncate'; readonly bytes: number }
  | { readonly kind: 'delay'; readonly ms: number }
  | { readonly kind: 'throttle'; readonly bytesPerMs: number };

/**
 * A TCP proxy on loopback. All it knows of HTTP is that an exchange begins when the client sends
 * after the server.
 */
export class FaultProxy {
  /** Called at the beginning of each exchange. */
  choose: () => Fault | undefined = () => undefined;
  /** The number of exchanges with a fault. */
  faults = 0;
  readonly #target: number;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  constructor(targetPort: number) {
    this.#target = targetPort;
    this.#server = createServer((client) => this.#join(client));
  }

  async start(): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return this;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #join(client: Socket): void {
    const server = connect(this.#target, '127.0.0.1');
    let fault: Fault | undefined;
    let isAnswering = true;
    let passed = 0;
    let queue = Promise.resolve();
    for (const socket of [client, server]) {
      this.#sockets.add(socket);
      socket.setNoDelay(true);
      socket.on('close', () => this.#sockets.delete(socket));
      // A broken connection breaks the other one.
      socket.on('error', () => {});
    }
    client.on('data', (chunk) => {
      if (isAnswering) {
        isAnswering = false;
        passed = 0;
        fault = this.choose();
        if (fault !== undefined) this.faults++;
      }
      if (fault?.kind === 'refuse') client.destroy();
      else server.write(chunk);
    });
    server.on('data', (chunk) => {
      isAnswering = true;
      const current = fault;
      switch (current?.kind) {
        case 'drop-reply':
          client.destroy();
          return;
        case 'reset':
          client.resetAndDestroy();
          return;
        case 'truncate':
          client.write(chunk.subarray(0, current.bytes - passed));
          passed += chunk.length;
          if (passed >= current.bytes) client.end();
          return;
        case 'delay':
          queue = queue.then(() => after(current.ms)).then(() => void client.write(chunk));
          return;
        case 'throttle':
          queue = queue.then(() => drip(client, chunk, current.bytesPerMs));
          return;
      }
      client.write(chunk);
    });
    client.on('close', () => server.destroy());
    server.on('close', () => void queue.then(() => client.end()));
  }
}

async function drip(client: Socket, chunk: Buffer, bytesPerMs: number): Promise<void> {
  const step = 5;
  for (let at = 0; at < chunk.length && !client.destroyed; at += bytesPerMs * step) {
    client.write(chunk.subarray(at, at + bytesPerMs * step));
    await after(step);
  }
}

function after(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
