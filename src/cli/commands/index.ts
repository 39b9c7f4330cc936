import type { AddCommand } from '../command.ts';
import { addAppend } from './append.ts';
import { addAudit } from './audit.ts';
import { addBackup } from './backup.ts';
import { addBlob } from './blob.ts';
import { addCat } from './cat.ts';
import { addDoctor } from './doctor.ts';
import { addDu } from './du.ts';
import { addExport } from './export.ts';
import { addGc } from './gc.ts';
import { addGet } from './get.ts';
import { addHold } from './hold.ts';
import { addImport } from './import.ts';
import { addInfo } from './info.ts';
import { addLs } from './ls.ts';
import { addPrune } from './prune.ts';
import { addPut } from './put.ts';
import { addRestore } from './restore.ts';
import { addRm } from './rm.ts';
import { addSalvage } from './salvage.ts';
import { addStat } from './stat.ts';

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
];
