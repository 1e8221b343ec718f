// pg-boss: batches of 64, each fetched, sent at once, and completed in one statement.
import PgBoss from "pg-boss";
import { deliver, job, measured, records } from "./common.mjs";

const boss = new PgBoss({ connectionString: job.database, supervise: false, schedule: false });
await boss.start();
await boss.createQueue("deliveries");

async function store(number) {
  const jobs = records(number).map((data) => ({ name: "deliveries", data }));
  for (let start = 0; start < jobs.length; start += 1000) await boss.insert(jobs.slice(start, start + 1000));
}

async function drain() {
  for (;;) {
    const batch = await boss.fetch("deliveries", { batchSize: job.concurrency });
    if (!batch.length) return;
    await Promise.all(batch.map(({ id, data }) => deliver(id, data)));
    await boss.complete("deliveries", batch.map(({ id }) => id));
  }
}

await store(64);
await drain();
await store(job.records);
await measured(drain);
