import { z } from 'zod';
import { VarveError } from './errors.ts';

const OPTIONS = z.strictObject({
  create: z.boolean().optional(),
  readOnly: z.boolean().optional(),
  onWarning: z.custom<(message: string) => void>((it) => typeof it === 'function', 'a function').optional(),
  objects: z
    .strictObject({
      inlineBelow: z
        .int()
        .min(0)
        .max(1024 * 1024)
        .optional(),
      concurrency: z.int().min(1).max(10_000).optional(),
      cacheBytes: z.int().min(0).optional(),
      compressionLevel: z.int().min(1).max(19).optional(),
      leaseMs: z.number().min(1000).optional(),
      timeoutMs: z.number().min(1).optional(),
    })
    .optional(),
  local: z
    .strictObject({
      allowNetworkFileSystem: z.boolean().optional(),
      lockTimeoutMs: z.number().min(0).optional(),
      segmentBlockBytes: z
        .int()
        .min(1)
        .max(16 * 1024 * 1024)
        .optional(),
      bodyBlockBytes: z
        .int()
        .min(1)
        .max(16 * 1024 * 1024)
        .optional(),
      compressionLevel: z.int().min(1).max(19).optional(),
      packBytes: z.int().min(1).optional(),
      inlineBelow: z
        .int()
        .min(0)
        .max(1024 * 1024)
        .optional(),
    })
    .optional(),
});

/** @throws `INVALID_ARGUMENT` naming every option that is unknown or out of range. */
export function checkOpenOptions(options: unknown): void {
  const { error } = OPTIONS.safeParse(options);
  if (error === undefined) return;
  throw new VarveError('INVALID_ARGUMENT', `options of openStore: ${z.prettifyError(error)}`, { cause: error });
}
