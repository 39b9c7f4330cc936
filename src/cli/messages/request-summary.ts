import type { RequestMetrics } from '../../core/request-metrics.ts';
import { bytes, counted } from './human.ts';

/** What was asked of the storage service, in a line. */
export function requestSummary(metrics: RequestMetrics | undefined, json: boolean): string {
  if (json) return JSON.stringify({ metrics: metrics ?? null });
  if (metrics === undefined) return 'a store in a directory asks no service for anything';
  const { requests, bytesUp, bytesDown, refused, retries, failures } = metrics;
  const total = Object.values(requests).reduce((sum, count) => sum + count, 0);
  const byVerb = Object.entries(requests)
    .filter(([, count]) => count > 0)
    .map(([verb, count]) => `${count} ${verb.toUpperCase()}`);
  const faults = [
    ...(refused > 0 ? [`${refused} conditions not met`] : []),
    ...(failures > 0 ? [`${failures} failed`] : []),
    ...(retries > 0 ? [`${retries} repeated`] : []),
  ];
  const list = [...byVerb, ...faults].join(', ');
  return (
    `${counted(total, 'request')}${list === '' ? '' : ` (${list})`}, ${bytes(bytesUp)} up, ` +
    `${bytes(bytesDown)} down`
  );
}
