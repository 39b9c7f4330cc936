import type { AddCommand } from '../session/command.ts';
import { addBlob } from './blob.ts';
import { addAppend } from './conversations/append.ts';
import { addCat } from './conversations/cat.ts';
import { addExport } from './conversations/export.ts';
import { addGet } from './conversations/get.ts';
import { addHold } from './conversations/hold.ts';
import { addImport } from './conversations/import.ts';
import { addLs } from './conversations/ls.ts';
import { addPut } from './conversations/put.ts';
import { addRm } from './conversations/rm.ts';
import { addStat } from './conversations/stat.ts';
import { addAudit } from './maintenance/audit.ts';
import { addBackup } from './maintenance/backup.ts';
import { addDoctor } from './maintenance/doctor.ts';
import { addDu } from './maintenance/du.ts';
import { addGc } from './maintenance/gc.ts';
import { addInfo } from './maintenance/info.ts';
import { addPrune } from './maintenance/prune.ts';
import { addRestore } from './maintenance/restore.ts';
import { addSalvage } from './maintenance/salvage.ts';
import { addUpgrade } from './maintenance/upgrade.ts';

/** Every command, in the order of the help text. */
export const COMMANDS: readonly AddCommand[] = [
  addImport,
  addExport,
  addPut,
  addAppend,
  addGet,
  addCat,
  addLs,
  addStat,
  addRm,
  addHold,
  addPrune,
  addBlob,
  addGc,
  addAudit,
  addBackup,
  addRestore,
  addSalvage,
  addDu,
  addDoctor,
  addInfo,
  addUpgrade,
];
