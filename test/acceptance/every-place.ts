import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, onTestFinished } from 'vitest';
import { openStore, type Store } from '../../src/index.ts';
import { CREDENTIALS } from '../object/s3/opened.ts';
import { S3Server } from '../object/s3/s3-server.ts';
import { newFolder } from './place.ts';

/**
 * Registers tests on a directory, on objects in memory and on objects behind S3, where each request
 * takes its time.
 */
export function describeEverywhere(
  register: (open: () => Promise<Store>, isSlow: boolean) => void,
): void {
  const closing = async (opening: Promise<Store>): Promise<Store> => {
    const store = await opening;
    onTestFinished(() => store.close());
    return store;
  };
  describe('a directory', () => register(() => closing(openStore(newFolder())), false));
  describe('objects in memory', () => register(() => closing(openStore('memory:')), false));
  describe('objects behind S3', () => {
    let server: S3Server;
    beforeAll(async () => {
      server = await new S3Server().start();
    });
    afterAll(() => server.close());
    register(() => {
      const { bucket, endpoint } = server;
      return closing(
        openStore({
          bucket,
          prefix: randomUUID(),
          region: 'here-1',
          endpoint,
          credentials: CREDENTIALS,
        }),
      );
    }, true);
  });
}
