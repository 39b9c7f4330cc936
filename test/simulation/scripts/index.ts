import { COLLECTION_SCENARIOS } from './collection-scenarios.ts';
import { COOLING_SCENARIOS } from './cooling-scenarios.ts';
import { DAMAGE_SCENARIOS } from './damage-scenarios.ts';
import { OUTCOME_SCENARIOS } from './outcome-scenarios.ts';
import { PAGE_SCENARIOS } from './page-scenarios.ts';
import { REFERENCE_SCENARIOS } from './reference-scenarios.ts';
import { RETENTION_SCENARIOS } from './retention-scenarios.ts';
import type { ScriptedScenario } from './scripted-scenario.ts';
import { TRUST_SCENARIOS } from './trust-scenarios.ts';

export const SCRIPTED_SCENARIOS: readonly ScriptedScenario[] = [
  ...REFERENCE_SCENARIOS,
  ...COOLING_SCENARIOS,
  ...OUTCOME_SCENARIOS,
  ...COLLECTION_SCENARIOS,
  ...DAMAGE_SCENARIOS,
  ...RETENTION_SCENARIOS,
  ...TRUST_SCENARIOS,
  ...PAGE_SCENARIOS,
];
