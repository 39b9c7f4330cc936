export { type Address, addressOf, isAddress, parseAddress } from './address.ts';
export type {
  AbortOptions,
  AppendWrite,
  AuditOptions,
  AuditReport,
  Backend,
  BackendCapabilities,
  BackupOptions,
  BackupReport,
  CollectOptions,
  CollectReason,
  CollectReport,
  CollectShard,
  CollectShare,
  DeleteWrite,
  Finding,
  FindingKind,
  ListFilter,
  Locator,
  ManifestFields,
  ManifestHead,
  ManifestKey,
  ManifestKind,
  ManifestWrite,
  NewEntry,
  NewSegment,
  PutWrite,
  Remnant,
  Revision,
  SegmentDescription,
  SegmentEncoding,
  StoredEntry,
  StoredManifest,
  Usage,
  WriteFailure,
  WriteOutcome,
  WriteSuccess,
} from './backends/backend.ts';
export { MAX_ID_BYTES, MAX_SEGMENT_BYTES } from './backends/backend.ts';
export type {
  PinFilter,
  PinHead,
  PinStat,
  PutSegmentOptions,
  SegmentReceipt,
  Segments,
} from './cas/segments.ts';
export type { Duration } from './duration.ts';
export { type ErrorCode, isVarveError, VarveError } from './errors.ts';
export type { ErasureReport, SharedSegment } from './gc/erasure.ts';
export type { ErasureOptions, GarbageCollection, GarbageCollectionOptions } from './gc/garbage-collection.ts';
export type {
  BlobContent,
  BlobFilter,
  BlobHead,
  BlobReceipt,
  BlobStat,
  Blobs,
  GetBlobOptions,
  PutBlobOptions,
} from './manifest/blobs.ts';
export type { IfExists } from './manifest/conversation-writer.ts';
export type {
  AppendOptions,
  ConversationHead,
  ConversationListOptions,
  ConversationStat,
  Conversations,
  PutFailure,
  PutOptions,
  PutReceipt,
  ReadOptions,
} from './manifest/conversations.ts';
export type { ExportCounts, ExportOptions } from './manifest/export.ts';
export type { ImportCounts, ImportError, ImportOptions, ImportReport } from './manifest/import.ts';
export {
  type LocalStoreOptions,
  type OpenOptions,
  openStore,
  type RestoreReport,
  restoreStore,
  Store,
} from './store.ts';
