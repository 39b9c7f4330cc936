/**
 * Each corpus through the command line: how small, how fast, how much memory; beside other programs
 * in the same run.
 *
 * Every round does all of it in turn, so that a noisy moment touches all alike; ratios are taken
 * within a round.
 */
import { rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { breakDown } from '../support/breakdown.mjs';
import { inTemporaryFolder, sha256OfFile, weigh } from '../support/files.mjs';
import { CLI } from '../support/library.mjs';
import { explode, installedPeers, storeWith } from '../support/peers.mjs';
import { run, runCase } from '../support/process.mjs';
import { spread } from '../support/statistics.mjs';
import { fixed, megabytes, ranged, seconds, table } from '../support/table.mjs';

export const summary =
  'import, size, export and re-import of each corpus through the CLI, beside zstd, restic, ' +
  'borg and casync';
export const options = /** @type {const} */ ({
  repetitions: { type: 'string', default: '3' },
  'no-peers': { type: 'boolean', default: false },
});

/**
 * @param {readonly import('../support/files.mjs').Corpus[]} corpora
 * @param {{ repetitions: string, 'no-peers': boolean }} given
 */
export async function measure(corpora, given) {
  const peers = given['no-peers'] ? [] : await installedPeers();
  const results = [];
  for (const corpus of corpora) {
    results.push(
      await inTemporaryFolder((folder) =>
        measureCorpus(corpus, peers, Number(given.repetitions), folder),
      ),
    );
  }
  return { results, tables: tablesOf(results) };
}

/**
 * @param {import('../support/files.mjs').Corpus} corpus
 * @param {readonly { peer: import('../support/peers.mjs').Peer, version: string }[]} peers
 * @param {number} repetitions
 * @param {string} folder
 */
async function measureCorpus({ path, ...corpus }, peers, repetitions, folder) {
  if (peers.length > 0) await explode(path, join(folder, 'exploded'));
  /** @type {Awaited<ReturnType<typeof measureRound>>[]} */
  const rounds = [];
  for (let round = 0; round < repetitions; round++) {
    console.error(`${corpus.name}: round ${round + 1} of ${repetitions}`);
    rounds.push(await measureRound({ path, ...corpus }, peers, folder));
  }
  const [first] = rounds;
  if (first === undefined) throw new Error('--repetitions must be at least 1');
  const figure = (/** @type {(round: (typeof rounds)[number]) => number} */ of) =>
    spread(rounds.map(of));
  const rate = (/** @type {number} */ milliseconds) => corpus.bytes / 1e6 / (milliseconds / 1000);
  return {
    corpus,
    store: first.store,
    storeAfterReimport: first.storeAfterReimport,
    storeAfterGc: first.storeAfterGc,
    exportsSameBytes: rounds.every((round) => round.exportsSameBytes),
    import: {
      wallMs: figure((round) => round.import.wallMs),
      cpuMs: figure((round) => round.import.cpuMs),
      megabytesPerSecond: figure((round) => rate(round.import.wallMs)),
      peakRssBytes: figure((round) => round.import.peakRssBytes),
      libraryMs: figure((round) => round.library.totalMs),
      libraryMegabytesPerSecond: figure((round) => rate(round.library.totalMs)),
    },
    export: {
      wallMs: figure((round) => round.export.wallMs),
      peakRssBytes: figure((round) => round.export.peakRssBytes),
    },
    reimport: { wallMs: figure((round) => round.reimport.wallMs) },
    gcFull: { wallMs: figure((round) => round.gc.wallMs) },
    peers: peers.map(({ peer, version }, number) => {
      const of = (/** @type {(typeof rounds)[number]} */ round) =>
        /** @type {(typeof rounds)[number]['peers'][number]} */ (round.peers[number]);
      return {
        name: peer.name,
        version,
        bytes: of(first).bytes,
        allocated: of(first).allocated,
        files: of(first).files,
        wallMs: figure((round) => of(round).wallMs),
        cpuMs: figure((round) => of(round).cpuMs),
        peakRssBytes: figure((round) => of(round).peakRssBytes),
        /** Its time in Varve's. */
        timesAsLong: figure((round) => of(round).wallMs / round.import.wallMs),
        timesAsLarge: of(first).bytes / first.store.bytes,
      };
    }),
  };
}

/**
 * @param {import('../support/files.mjs').Corpus} corpus
 * @param {readonly { peer: import('../support/peers.mjs').Peer }[]} peers
 * @param {string} folder
 */
async function measureRound({ path, sha256 }, peers, folder) {
  const varve = await measureVarve(path, sha256, folder);
  const others = [];
  for (const [number, { peer }] of peers.entries()) {
    const target = join(folder, `peer-${number}`);
    const { wallMs, cpuMs, peakRssBytes } = await storeWith(peer, {
      file: path,
      folder: join(folder, 'exploded'),
      target,
    });
    others.push({ wallMs, cpuMs, peakRssBytes, ...weigh(target) });
    for (const used of [target, `${target}-cache`, `${target}-base`])
      rmSync(used, { recursive: true, force: true });
  }
  return { ...varve, peers: others };
}

/**
 * @param {string} file
 * @param {string} sha256
 * @param {string} folder
 */
async function measureVarve(file, sha256, folder) {
  const store = join(folder, 'store');
  const output = join(folder, 'exported.jsonl');
  const varve = (/** @type {string[]} */ ...args) => [
    process.execPath,
    CLI,
    ...args,
    '--store',
    store,
    '--quiet',
  ];
  rmSync(store, { recursive: true, force: true });
  const imported = await run(varve('import', file));
  const afterImport = breakDown(store);
  const exported = await run(varve('export'), { stdoutFile: output });
  const exportsSameBytes = (await sha256OfFile(output)) === sha256 && statSync(output).size > 0;
  rmSync(output);
  const reimported = await run(varve('import', file));
  const storeAfterReimport = weigh(store).bytes;
  const gc = await run(varve('gc', '--full'));
  const storeAfterGc = weigh(store).bytes;
  rmSync(store, { recursive: true });
  const { result: library } = await runCase('import', { store, file });
  rmSync(store, { recursive: true });
  return {
    import: imported,
    export: exported,
    reimport: reimported,
    gc,
    library,
    store: afterImport,
    storeAfterReimport,
    storeAfterGc,
    exportsSameBytes,
  };
}

/** @param {Awaited<ReturnType<typeof measureCorpus>>[]} results */
function tablesOf(results) {
  const sizes = results.map(({ corpus, store, storeAfterReimport, storeAfterGc }) => [
    corpus.name,
    corpus.lines,
    megabytes(corpus.bytes),
    megabytes(store.bytes),
    megabytes(store.segmentBlocks),
    megabytes(store.bodyBlocks),
    megabytes(store.index),
    megabytes(storeAfterReimport),
    megabytes(storeAfterGc),
    fixed(corpus.bytes / store.bytes, 1),
  ]);
  const times = results.map(
    ({ corpus, import: imported, export: exported, reimport, gcFull, exportsSameBytes }) => [
      corpus.name,
      ranged(imported.wallMs, seconds),
      ranged(imported.megabytesPerSecond, (rate) => fixed(rate, 1)),
      ranged(imported.libraryMegabytesPerSecond, (rate) => fixed(rate, 1)),
      seconds(imported.cpuMs.median),
      megabytes(imported.peakRssBytes.max),
      ranged(exported.wallMs, seconds),
      megabytes(exported.peakRssBytes.max),
      exportsSameBytes ? 'yes' : 'NO',
      ranged(reimport.wallMs, seconds),
      ranged(gcFull.wallMs, seconds),
    ],
  );
  const comparisons = results.flatMap(({ corpus, store, import: imported, peers }) => {
    const own = {
      name: 'varve',
      version: '',
      ...store,
      ...imported,
      timesAsLarge: 1,
      timesAsLong: spread([1]),
    };
    return [own, ...peers].map((one) => [
      corpus.name,
      `${one.name} ${one.version}`.trim(),
      megabytes(one.bytes),
      megabytes(one.allocated),
      fixed(one.timesAsLarge, 2),
      ranged(one.wallMs, seconds),
      ranged(one.timesAsLong, (ratio) => fixed(ratio, 2)),
      seconds(one.cpuMs.median),
      megabytes(one.peakRssBytes.max),
    ]);
  });
  return [
    table(
      'Size in MB (10⁶ bytes), everything included',
      [
        'corpus',
        'lines',
        'raw',
        'store',
        'segments',
        'bodies',
        'index',
        're-imported',
        'gc --full',
        'times smaller',
      ],
      sizes,
    ),
    table(
      'Time in s (process start to end; median and range) and memory in MB',
      [
        'corpus',
        'import',
        'MB/s',
        'MB/s library',
        'CPU s',
        'peak RSS',
        'export',
        'peak RSS',
        'same bytes',
        're-import',
        'gc --full',
      ],
      times,
    ),
    table(
      'Beside others: bytes and what `du` counts in MB, time in s; ratios are to Varve in ' +
        'the same round',
      ['corpus', 'program', 'size', 'du', 'size ratio', 'time', 'time ratio', 'CPU s', 'peak RSS'],
      comparisons,
    ),
  ];
}
