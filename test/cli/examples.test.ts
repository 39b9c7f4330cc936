import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { handler } from '../../examples/operations/lambda/handler.ts';
import { Workplace } from './varve.ts';

const EXAMPLES = resolve(import.meta.dirname, '../../examples/operations');
const here = new Workplace();

function example(...path: string[]): string {
  return readFileSync(join(EXAMPLES, ...path), 'utf8');
}

function storeWith(name: string): string {
  const location = here.path(name);
  const created = Math.floor(Date.now() / 1000) - 100 * 86_400;
  here.succeed(['import', '-', '-s', location], {
    input: `{"id":"old","created":${created},"messages":[]}\n`,
  });
  return location;
}

/**
 * Runs a line as a shell would, against a store of ours; what it prints as JSON is its last line.
 */
function runs(line: string, location: string, env: Readonly<Record<string, string>> = {}): void {
  const { status, stderr } = here.shell(line, { VARVE_STORE: location, ...env });
  expect(stderr).toBe('');
  expect(status).toBe(0);
}

describe('the crontab', () => {
  const lines = example('cron', 'varve')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'));
  const jobs = lines.filter((line) => !/^[A-Z_]+=/.test(line));

  it('has five fields of time, a user and a command on each line', () => {
    expect(lines).toContain('VARVE_STORE=/var/lib/varve');
    expect(jobs).toHaveLength(3);
    for (const job of jobs)
      expect(job).toMatch(/^\d+ (\d+|\*\/\d+) \* \* (\d|\*) +varve {2}varve [^%]+$/);
  });

  it('has commands that run quietly', () => {
    const location = storeWith('cron');
    for (const job of jobs) {
      const command = job.split(/ {2,}/).at(-1) as string;
      runs(command, location);
      expect(here.shell(command, { VARVE_STORE: location }).stdout).toBe('');
    }
    const operations = here
      .succeed(['gc', '--history', '--json', '-s', location])
      .trimEnd()
      .split('\n');
    expect(new Set(operations.map((line) => JSON.parse(line).operation))).toEqual(
      new Set(['gc', 'prune', 'audit']),
    );
  });
});

describe('the systemd units', () => {
  const units = readdirSync(join(EXAMPLES, 'systemd'));

  it('are a service with its timer, and a service that stays', () => {
    expect(units.sort()).toEqual(['varve-gc-every.service', 'varve-gc.service', 'varve-gc.timer']);
    expect(example('systemd', 'varve-gc.service')).toMatch(/^Type=oneshot$/m);
    expect(example('systemd', 'varve-gc.timer')).toMatch(/^Persistent=true$/m);
  });

  it('pass systemd-analyze verify', (context) => {
    const paths = units.map((unit) => join(EXAMPLES, 'systemd', unit));
    const { status, stderr, error } = spawnSync(
      'systemd-analyze',
      ['--man=no', 'verify', ...paths],
      {
        encoding: 'utf8',
      },
    );
    if (error !== undefined)
      return context.skip('SKIPPED: there is no systemd-analyze here, so the units are unchecked');
    expect(stderr).not.toMatch(/varve/);
    expect(status).toBe(0);
  });

  it('have a calendar that systemd understands', (context) => {
    const calendar = /^OnCalendar=(.*)$/m.exec(example('systemd', 'varve-gc.timer'))?.[1] as string;
    const { status, error } = spawnSync('systemd-analyze', ['calendar', calendar], {
      encoding: 'utf8',
    });
    if (error !== undefined)
      return context.skip(
        'SKIPPED: there is no systemd-analyze here, so the calendar is unchecked',
      );
    expect(status).toBe(0);
  });

  it('start commands that run', () => {
    const location = storeWith('systemd');
    const command = /^ExecStart=\/usr\/bin\/env (.*)$/m.exec(
      example('systemd', 'varve-gc.service'),
    )?.[1] as string;
    runs(command, location);
    const staying = /^ExecStart=\/usr\/bin\/env (.*)$/m.exec(
      example('systemd', 'varve-gc-every.service'),
    )?.[1] as string;
    // Commander reads all options before it looks at --help.
    runs(`${staying} --help > /dev/null`, location);
    expect(staying).toContain('--every 6h');
  });
});

interface Container {
  readonly name: string;
  readonly command: readonly string[];
  readonly args: readonly string[];
  readonly env: readonly { readonly name: string; readonly value: string }[];
}

describe('the Kubernetes manifests', () => {
  it('have a CronJob that does not overlap, gives up, and does not repeat what cannot succeed', () => {
    const job = parse(example('kubernetes', 'cronjob.yaml'), { strict: true, uniqueKeys: true });
    expect(job).toMatchObject({
      apiVersion: 'batch/v1',
      kind: 'CronJob',
      spec: { concurrencyPolicy: 'Forbid', schedule: expect.stringMatching(/^(\S+ ){4}\S+$/) },
    });
    const { spec } = job.spec.jobTemplate;
    expect(spec.activeDeadlineSeconds).toBeGreaterThan(0);
    // A policy on exit codes is refused with any other restart policy.
    expect(spec.template.spec.restartPolicy).toBe('Never');
    const [container] = spec.template.spec.containers as [Container];
    expect(spec.podFailurePolicy.rules[0].onExitCodes).toEqual({
      containerName: container.name,
      operator: 'In',
      values: [2, 4],
    });
    expect(container.env.map(({ name }) => name)).toEqual(['VARVE_STORE']);
    runs(
      `${[...container.command, ...container.args].join(' ')} > report.json`,
      storeWith('cronjob'),
    );
    expect(JSON.parse(readFileSync(here.path('report.json'), 'utf8'))).toMatchObject({
      dryRun: false,
    });
  });

  it('have an Indexed Job with as many completions as shards', () => {
    const { apiVersion, kind, spec } = parse(example('kubernetes', 'indexed-job.yaml'), {
      strict: true,
    });
    expect({ apiVersion, kind, mode: spec.completionMode }).toEqual({
      apiVersion: 'batch/v1',
      kind: 'Job',
      mode: 'Indexed',
    });
    const [container] = spec.template.spec.containers as [Container];
    expect(container.command).toEqual(['sh', '-c']);
    const script = container.args[0] as string;
    expect(script).toContain(`--shard "$JOB_COMPLETION_INDEX/${spec.completions}"`);
    expect(spec.template.spec.restartPolicy).toBe('Never');
    expect(spec.parallelism).toBeLessThanOrEqual(spec.completions);
    const location = storeWith('indexed');
    for (const index of [0, spec.completions - 1]) {
      // A function cannot be exec'ed.
      runs(`${script.replace(/^exec /, '')} > /dev/null`, location, {
        JOB_COMPLETION_INDEX: String(index),
      });
    }
  });
});

describe('the Lambda handler', () => {
  const plenty = { getRemainingTimeInMillis: () => 900_000 };

  async function invoke(location: string | undefined, context = plenty) {
    const { VARVE_STORE: before } = process.env;
    if (location === undefined) delete process.env.VARVE_STORE;
    else process.env.VARVE_STORE = location;
    try {
      // As EventBridge sends what the template says.
      const { Properties } = parse(example('lambda', 'template.yaml')).Resources.CollectGarbage
        .Properties.Events.Schedule;
      return await handler(JSON.parse(Properties.Input), context);
    } finally {
      if (before === undefined) delete process.env.VARVE_STORE;
      else process.env.VARVE_STORE = before;
    }
  }

  it('collects, answers with JSON values, and leaves a report', async () => {
    const location = storeWith('lambda');
    here.succeed(['rm', 'old', '-s', location]);
    const outcome = await invoke(location);
    expect(outcome).toMatchObject({ finished: true, report: { dryRun: false } });
    expect(JSON.parse(JSON.stringify(outcome))).toEqual(outcome);
    const history = here.succeed(['gc', '--history', '--json', '-s', location]);
    expect(JSON.parse(history)).toMatchObject({
      operation: 'gc',
      outcome: 'done',
      options: { grace: '24h' },
    });
  });

  it('ends in time, and says that it has not finished', async () => {
    const location = storeWith('short');
    expect(await invoke(location, { getRemainingTimeInMillis: () => 0 })).toEqual({
      finished: false,
    });
    expect(await invoke(location)).toMatchObject({ finished: true });
  });

  it('throws what is wrong, for Lambda to count and repeat', async () => {
    await expect(invoke(undefined)).rejects.toThrow('set VARVE_STORE');
    await expect(invoke(here.path('none'))).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  it('has a template that names it, with time and a schedule', () => {
    const { Properties } = parse(example('lambda', 'template.yaml'), { strict: true }).Resources
      .CollectGarbage;
    expect(Properties).toMatchObject({ Handler: 'handler.handler', Timeout: 900 });
    expect(Properties.Events.Schedule.Properties.Schedule).toMatch(/^rate\(\d+ hours\)$/);
  });
});
