import { COLLECTION_STAGES } from './collection-stages.ts';
import { COOLING_STAGES } from './cooling-stages.ts';
import { DAMAGE_STAGES } from './damage-stages.ts';
import { OUTCOME_STAGES } from './outcome-stages.ts';
import { REFERENCE_STAGES } from './reference-stages.ts';
import { RETENTION_STAGES } from './retention-stages.ts';
import type { Stage } from './stage.ts';
import { TRUST_STAGES } from './trust-stages.ts';

export const STAGES: readonly Stage[] = [
  ...REFERENCE_STAGES,
  ...COOLING_STAGES,
  ...OUTCOME_STAGES,
  ...COLLECTION_STAGES,
  ...DAMAGE_STAGES,
  ...RETENTION_STAGES,
  ...TRUST_STAGES,
];
