export type { AuditOptions, AuditReport, Finding, FindingKind } from './backends/contract/audit.ts';
export type { Backend, BackendCapabilities, Health } from './backends/contract/backend.ts';
export type { BackupOptions, BackupReport } from './backends/contract/backup.ts';
export type {
  CollectOptions,
  CollectReason,
  CollectReport,
  CollectShard,
  CollectShare,
  CollectWorkOptions,
  ProgressCallback,
  Remnant,
} from './backends/contract/collection.ts';
export {
  type AppendWrite,
  type DeleteOptions,
  type DeleteWrite,
  type HoldWrite,
  type ListFilter,
  type Locator,
  MAX_ID_BYTES,
  MAX_REASON_BYTES,
  MAX_SEGMENT_BYTES,
  type ManifestFields,
  type ManifestHead,
  type ManifestHold,
  type ManifestKey,
  type ManifestKind,
  type ManifestWrite,
  type NewEntry,
  type NewSegment,
  type PutWrite,
  type ReadManifestOptions,
  type Revision,
  type SegmentDescription,
  type SegmentEncoding,
  type StoredEntry,
  type StoredManifest,
  type WriteFailure,
  type WriteOutcome,
  type WriteSuccess,
} from './backends/contract/manifests.ts';
export {
  KEPT_REPORTS,
  type Lease,
  MAX_REPORT_BYTES,
  type ReportLog,
  type StoredReport,
} from './backends/contract/reports.ts';
export type {
  DoctorFinding,
  DoctorReport,
  DoubtfulManifest,
  SalvageOptions,
  SalvageReport,
} from './backends/contract/rescue.ts';
export type { UpgradeReport } from './backends/contract/upgrade.ts';
export type {
  CountedUsage,
  ManifestSurvey,
  SurveyedSegment,
  Usage,
} from './backends/contract/usage.ts';
export type { PinFilter, PinHead, PinStat, SegmentReceipt } from './cas/pins.ts';
export type { PutSegmentOptions, Segments } from './cas/segments.ts';
export type { AbortOptions } from './core/abort.ts';
export { type Address, addressOf, isAddress, parseAddress } from './core/address.ts';
export type { ByteSource } from './core/byte-source.ts';
export {
  type Duration,
  type DurationUnit,
  parseDuration,
  type Retention,
} from './core/duration.ts';
export { type ErrorCode, isVarveError, VarveError } from './core/errors.ts';
export type {
  DoneEvent,
  FailedEvent,
  ItemEvent,
  OnEvent,
  ProgressEvent,
  RetryEvent,
  StartEvent,
  StoreEvent,
  WorkName,
} from './core/events.ts';
export type { RequestMetrics } from './core/request-metrics.ts';
export { parseWhere, type WhereCondition } from './core/where.ts';
export type { StoreAuditOptions } from './gc/audit/store-audit.ts';
export type { ErasureReport } from './gc/erasure/erasure.ts';
export type { RemainingSegment } from './gc/erasure/shared-segments.ts';
export type {
  CollectionPlanOptions,
  ErasureOptions,
  GarbageCollection,
  GarbageCollectionOptions,
  ScheduledCollectionOptions,
} from './gc/garbage-collection.ts';
export type { Prune, PruneDecision, PruneReport } from './gc/retention/prune.ts';
export type { PruneCriteria, PruneOptions } from './gc/retention/prune-criteria.ts';
export type { HistoryOptions, RunReport } from './gc/run-log.ts';
export type { Schedule, ScheduleOptions } from './gc/schedule.ts';
export type { SharedSegment } from './gc/usage/top-segments.ts';
export type {
  UsageBreakdown,
  UsageBreakdownOptions,
  UsagePart,
} from './gc/usage/usage-breakdown.ts';
export type { S3Config, S3Credentials } from './location.ts';
export type {
  BlobContent,
  BlobFilter,
  BlobHead,
  BlobReceipt,
  BlobStat,
  GetBlobOptions,
  PutBlobOptions,
} from './manifest/blobs/blob-options.ts';
export type { Blobs } from './manifest/blobs/blobs.ts';
export type { Conversation, ConversationMessage } from './manifest/conversations/conversation.ts';
export type { IfExists } from './manifest/conversations/conversation-writer.ts';
export type {
  AppendOptions,
  ConversationHead,
  ConversationListOptions,
  ConversationStat,
  Conversations,
  DeleteManyOptions,
  PutFailure,
  PutManyOptions,
  PutOptions,
  PutReceipt,
  ReadOptions,
} from './manifest/conversations/conversations.ts';
export type {
  HeldConversation,
  HoldReceipt,
  Holds,
  PlaceHoldOptions,
} from './manifest/conversations/holds.ts';
export type { ExportCounts, ExportOptions } from './manifest/transfer/export.ts';
export type {
  ImportCounts,
  ImportError,
  ImportOptions,
  ImportReport,
} from './manifest/transfer/import.ts';
export type { LocalStoreOptions, ObjectStoreOptions, OpenOptions } from './open-options.ts';
export {
  doctor,
  type RestoreReport,
  restoreStore,
  type SalvageStoreReport,
  salvageStore,
} from './recovery.ts';
export { openStore, Store } from './store.ts';
