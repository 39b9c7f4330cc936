import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { S3Config, S3Credentials } from '../../../src/backends/storage/s3/s3-location.ts';
import { CREDENTIALS, openAt } from './opened.ts';
import { S3Server } from './s3-server.ts';

const WARNING_SWITCH = 'AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED';

// The client warns once a process, so this listens from the beginning.
const warnings: string[] = [];
process.on('warning', ({ message }) => warnings.push(message));

describe('the S3 client', () => {
  let server: S3Server;
  let directory: string;
  beforeEach(async () => {
    server = await new S3Server().start();
    directory = mkdtempSync(join(tmpdir(), 'varve-s3-'));
    for (const name of Object.keys(process.env))
      if (name.startsWith('AWS_')) vi.stubEnv(name, undefined);
    // Neither the files of the user who runs the test nor a role of the machine.
    vi.stubEnv('AWS_CONFIG_FILE', join(directory, 'config'));
    vi.stubEnv('AWS_SHARED_CREDENTIALS_FILE', join(directory, 'credentials'));
    vi.stubEnv('AWS_EC2_METADATA_DISABLED', 'true');
  });
  afterEach(async () => {
    vi.unstubAllEnvs();
    await server.close();
    rmSync(directory, { recursive: true });
  });

  async function ask(config: Partial<S3Config>) {
    const store = await openAt(server.endpoint, config);
    try {
      return await store.get('key');
    } finally {
      await store.close();
    }
  }

  test('signs with the credentials it is given', async () => {
    await ask({ credentials: CREDENTIALS });
    expect(server.seen).toMatchObject([{ isSigned: true, hasSessionToken: false }]);
  });

  test('signs with a session token', async () => {
    await ask({ credentials: { ...CREDENTIALS, sessionToken: 'token' } });
    expect(server.seen).toMatchObject([{ isSigned: true, hasSessionToken: true }]);
  });

  test('asks a provider again when its credentials have expired', async () => {
    let asked = 0;
    const credentials = async () => {
      asked++;
      return { ...CREDENTIALS, expiration: new Date(Date.now() + (asked === 1 ? 0 : 3_600_000)) };
    };
    const store = await openAt(server.endpoint, { credentials });
    for (let times = 0; times < 3; times++) await store.get('key');
    expect(asked).toBe(2);
    await store.close();
  });

  test('does not sign anonymous requests', async () => {
    await ask({ credentials: 'anonymous' });
    expect(server.seen).toMatchObject([{ isSigned: false }]);
  });

  test('takes credentials and region from the environment', async () => {
    vi.stubEnv('AWS_ACCESS_KEY_ID', CREDENTIALS.accessKeyId);
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', CREDENTIALS.secretAccessKey);
    vi.stubEnv('AWS_REGION', 'there-2');
    await ask({ credentials: undefined, region: undefined });
    expect(server.seen).toMatchObject([{ isSigned: true }]);
  });

  test("takes other settings from AWS's config files", async () => {
    writeFileSync(join(directory, 'config'), '[profile work]\nregion = there-2\n');
    writeFileSync(
      join(directory, 'credentials'),
      `[work]\naws_access_key_id = ${CREDENTIALS.accessKeyId}\naws_secret_access_key = ` +
        `${CREDENTIALS.secretAccessKey}\n`,
    );
    vi.stubEnv('AWS_PROFILE', 'work');
    await ask({ credentials: undefined, region: undefined });
    expect(server.seen).toMatchObject([{ isSigned: true }]);
  });

  test('names what to set if there is no region', async () => {
    await expect(openAt(server.endpoint, { region: undefined })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringMatching(/no region for bucket bucket: say region=.*AWS_REGION/),
    });
  });

  test('names what to set if there are no credentials, and sends nothing', async () => {
    await expect(ask({ credentials: undefined })).rejects.toMatchObject({
      code: 'DENIED',
      message: expect.stringMatching(/AWS_ACCESS_KEY_ID/),
    });
    expect(server.seen).toEqual([]);
  });

  test('reports why a provider failed, but not what a command printed', async () => {
    const failing = (message: string) => async (): Promise<S3Credentials> => {
      throw new Error(message);
    };
    const store = await openAt(server.endpoint, { credentials: failing('the vault is sealed') });
    // Nothing was sent, so the outcome is known.
    await expect(store.put('key', Buffer.from('x'), { kind: 'any' })).rejects.toMatchObject({
      code: 'DENIED',
      cause: { message: 'the vault is sealed' },
    });
    await store.close();
    const error = await ask({
      credentials: failing('Command failed: vault read --token a-secret'),
    }).then(
      () => expect.unreachable('it did not fail'),
      (thrown: Error) => thrown,
    );
    expect(inspect(error)).toContain('CredentialsProviderError');
    expect(inspect(error)).not.toContain('a-secret');
  });

  test('corrects for a clock that is wrong', async () => {
    const skewed = {
      status: 403,
      code: 'RequestTimeTooSkewed',
      headers: { Date: new Date(Date.now() + 7_200_000).toUTCString() },
    };
    server.quirks.answerInstead = () => (server.seen.length === 1 ? skewed : undefined);
    expect(await ask({})).toBeUndefined();
    expect(server.seen).toHaveLength(2);
  });

  test('leaves the switch that silences warnings as it was', async () => {
    await ask({});
    expect(process.env[WARNING_SWITCH]).toBeUndefined();
    vi.stubEnv(WARNING_SWITCH, 'false');
    await ask({});
    expect(process.env[WARNING_SWITCH]).toBe('false');
  });

  test('opens no more connections than it may', async () => {
    const store = await openAt(server.endpoint, { maxConnections: 3 });
    await Promise.all(Array.from({ length: 20 }, (_, index) => store.get(`key${index}`)));
    expect(server.connections).toBeLessThanOrEqual(3);
    await store.close();
  });

  test('prints no warnings', async () => {
    await new Promise((resolve) => setImmediate(resolve));
    expect(warnings).toEqual([]);
  });
});
