import type { ListFilter, ManifestHead } from '../../contract/manifests.ts';
import type { ArchivedAt } from '../format/manifest-record.ts';
import type { ListedManifest } from '../format/rollup.ts';

type OrderedHead = ManifestHead & { readonly archived: ArchivedAt };

/** The heads that pass the filter, in the requested order. */
export function ordered(manifests: readonly ListedManifest[], filter: ListFilter): OrderedHead[] {
  const { application, model, since, until, held, order = 'archived' } = filter;
  const sign = order === 'newest' ? -1 : 1;
  const passes = (head: OrderedHead) =>
    (application === undefined || head.application === application) &&
    (model === undefined || head.model === model) &&
    (since === undefined || head.createdAt >= since) &&
    (until === undefined || head.createdAt < until) &&
    (held === undefined || held === (head.hold !== undefined));
  return manifests
    .flatMap(({ head }) => (head !== undefined && passes(head) ? [head] : []))
    .sort(
      (a, b) =>
        (order === 'archived' ? 0 : sign * (a.createdAt - b.createdAt)) ||
        sign * compareArchived(a.archived, b.archived),
    );
}

function compareArchived(a: ArchivedAt, b: ArchivedAt): number {
  return a[0] - b[0] || a[1] - b[1];
}
