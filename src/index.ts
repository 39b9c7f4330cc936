export { type Address, addressOf, isAddress, parseAddress } from './address.ts';
export type { Backend, BackendCapabilities, Health, RequestMetrics } from './backends/backend.ts';
export type {
  AuditOptions,
  AuditReport,
  BackupOptions,
  BackupReport,
  CollectOptions,
  CollectReason,
  CollectReport,
  CollectShard,
  CollectShare,
  CollectWorkOptions,
  DoctorFinding,
  DoctorReport,
  Finding,
  FindingKind,
  Lease,
  ManifestSurvey,
  ProgressCallback,
  Remnant,
  ReportLog,
  StoredReport,
  SurveyedSegment,
  Usage,
} from './backends/maintenance.ts';
export { KEPT_REPORTS, MAX_REPORT_BYTES } from './backends/maintenance.ts';
export type {
  AbortOptions,
  AppendWrite,
  DeleteOptions,
  DeleteWrite,
  HoldWrite,
  ListFilter,
  Locator,
  ManifestFields,
  ManifestHead,
  ManifestHold,
  ManifestKey,
  ManifestKind,
  ManifestWrite,
  NewEntry,
  NewSegment,
  PutWrite,
  Revision,
  SegmentDescription,
  SegmentEncoding,
  StoredEntry,
  StoredManifest,
  WriteFailure,
  WriteOutcome,
  WriteSuccess,
} from './backends/manifests.ts';
export { MAX_ID_BYTES, MAX_REASON_BYTES, MAX_SEGMENT_BYTES } from './backends/manifests.ts';
export type {
  PinFilter,
  PinHead,
  PinStat,
  PutSegmentOptions,
  SegmentReceipt,
  Segments,
} from './cas/segments.ts';
export { type Duration, type DurationUnit, parseDuration, type Retention } from './duration.ts';
export { type ErrorCode, isVarveError, VarveError } from './errors.ts';
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
} from './events.ts';
export type { ErasureReport, RemainingSegment } from './gc/erasure.ts';
export type {
  CollectionPlanOptions,
  ErasureOptions,
  GarbageCollection,
  GarbageCollectionOptions,
  ScheduledCollectionOptions,
} from './gc/garbage-collection.ts';
export type { Prune, PruneDecision, PruneReport } from './gc/prune.ts';
export type { PruneCriteria, PruneOptions } from './gc/prune-criteria.ts';
export type { HistoryOptions, RunReport } from './gc/run-log.ts';
export type { Schedule, ScheduleOptions } from './gc/schedule.ts';
export type { SharedSegment } from './gc/top-segments.ts';
export type { UsageBreakdown, UsageBreakdownOptions, UsagePart } from './gc/usage-breakdown.ts';
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
export type { Conversation, ConversationMessage } from './manifest/conversation.ts';
export type { IfExists } from './manifest/conversation-writer.ts';
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
} from './manifest/conversations.ts';
export type { ExportCounts, ExportOptions } from './manifest/export.ts';
export type { HeldConversation, HoldReceipt, Holds, PlaceHoldOptions } from './manifest/holds.ts';
export type { ImportCounts, ImportError, ImportOptions, ImportReport } from './manifest/import.ts';
export type { LocalStoreOptions, ObjectStoreOptions, OpenOptions } from './open-options.ts';
export {
  doctor,
  openStore,
  type RestoreReport,
  restoreStore,
  type S3Config,
  type SalvageStoreReport,
  Store,
  salvageStore,
} from './store.ts';
export { parseWhere, type WhereCondition } from './where.ts';
