// graphile-worker, tuned as its documentation advises: a local queue, completions in batches.
import { Logger, makeWorkerUtils, run } from "graphile-worker";
import pg from "pg";
import { deliver, job, measured, records } from "./common.mjs";

const logger = new Logger(() => () => {});
const pool = new pg.Pool({ connectionString: job.database, max: 10 });
const utils = await makeWorkerUtils({ pgPool: pool, logger });
await utils.migrate();

async function store(number) {
  const jobs = records(number).map((payload) => ({ identifier: "deliver", payload }));
  for (let start = 0; start < jobs.length; start += 1000) await utils.addJobs(jobs.slice(start, start + 1000));
}

async function drain(number) {
  let left = number;
  const { promise, resolve } = Promise.withResolvers?.() ?? withResolvers();
  const runner = await run({
    pgPool: pool,
    logger,
    noHandleSignals: true,
    preset: {
      worker: {
        concurrentJobs: job.concurrency,
        pollInterval: 1000,
        localQueue: { size: 500, refetchDelay: { durationMs: 0 } },
        completeJobBatchDelay: 0,
        failJobBatchDelay: 0,
      },
    },
    taskList: {
      deliver: async (record, { job: { id } }) => {
        await deliver(id, record);
        if (!--left) resolve();
      },
    },
  });
  await promise;
  await runner.stop(); // writes what is complete
}

function withResolvers() {
  let resolve;
  const promise = new Promise((done) => (resolve = done));
  return { promise, resolve };
}

await store(64);
await drain(64);
await store(job.records);
await measured(() => drain(job.records));
