import type { RequestMetrics } from '../../core/request-metrics.ts';
import { bytes, counted } from './human.ts';

/** Summarizes the requests to the storage service in one line. */
export function requestSummary(metrics: RequestMetrics | undefined, json: boolean): string {
  if (json) return JSON.stringify({ metrics: metrics ?? null });
  if (metrics === undefined) return 'a store in a directory sends no requests';
  const { requests, bytesUp, bytesDown, refused, retries, failures } = metrics;
  const total = Object.values(requests).reduce((sum, count) => sum + count, 0);
  const byVerb = Object.entries(requests)
    .filter(([, count]) => count > 0)
    .map(([verb, count]) => `${count} ${verb.toUpperCase()}`);
  const faults = [
    ...(refused > 0 ? [`${refused} conditions not met`] : []),
    ...(failures > 0 ? [`${failures} failed`] : []),
    ...(retries > 0 ? [`${retries} retried`] : []),
  ];
  const list = [...byVerb, ...faults].join(', ');
  return (
    `${counted(total, 'request')}${list === '' ? '' : ` (${list})`}, ${bytes(bytesUp)} up, ` +
    `${bytes(bytesDown)} down`
  );
}
