// What both peers share: the job's records, and the request that delivers one.
import { Agent, request } from "undici";

export const job = JSON.parse(process.argv[2]);

const agent = new Agent({ connections: job.concurrency, pipelining: 1 });
const payload = { orderid: "18jan", text: "x".repeat(1000) };

export function records(number) {
  return Array.from({ length: number }, (_, one) => ({
    url: job.targets[one % job.targets.length] + job.path,
    authorization: "Bearer benchmark",
    payload,
  }));
}

export async function deliver(id, record) {
  const answer = await request(record.url, {
    method: "POST",
    dispatcher: agent,
    headers: {
      "content-type": "application/json",
      "idempotency-key": id,
      authorization: record.authorization,
    },
    body: JSON.stringify(record.payload),
  });
  await answer.body.dump();
  if (answer.statusCode !== 200) throw new Error(`the target answered ${answer.statusCode}`);
}

// Says that everything is stored, waits for the word to begin, delivers, and says that all is done.
export async function measured(deliverAll) {
  console.log("stored");
  await new Promise((begin) => process.stdin.once("data", begin));
  await deliverAll();
  console.log("done");
  await new Promise((end) => process.stdin.once("data", end)); // its CPU time is read meanwhile
  process.exit(0);
}
