// Runs the official clients for tests in another language: one JSON command a line in, one JSON answer a line out.
//
// A command: {id, sdk: "openai" | "anthropic", baseURL, apiKey, maxRetries, timeout, call: "chat.completions.create",
// arguments: [...], headers, leaveAfter}. An answer: {id, value, requestId, events, error}; a stream's pieces are its
// events, of which `leaveAfter` are read before the client goes away. An error is told by the class that a customer's
// code would catch.

import { createInterface } from "node:readline";
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";

const SDKS = { anthropic: Anthropic, openai: OpenAI };

function told(error) {
  const words = ["status", "code", "type", "param", "message", "requestID", "error"];
  const headers = error.headers ? Object.fromEntries(error.headers) : null;
  return { class: error.constructor.name, headers, ...Object.fromEntries(words.map((word) => [word, error[word] ?? null])) };
}

async function run({ sdk, baseURL, apiKey, maxRetries = 0, timeout = 60000, call, arguments: given, headers, leaveAfter }) {
  const client = new SDKS[sdk]({ apiKey, baseURL, maxRetries, timeout });
  const path = call.split(".");
  const name = path.pop();
  const speaker = path.reduce((part, step) => part[step], client);
  const answer = { events: [] };
  try {
    const asked = speaker[name](...given, { headers });
    if (given[0]?.stream) {
      const { data: stream, response } = await asked.withResponse();
      answer.requestId = response.headers.get("x-request-id") ?? response.headers.get("request-id");
      for await (const event of stream) {
        answer.events.push(event);
        if (answer.events.length === leaveAfter) break;
      }
    } else {
      answer.value = await asked;
      answer.requestId = answer.value._request_id;
    }
  } catch (error) {
    answer.error = told(error);
  }
  return answer;
}

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  run(command).then((answer) => process.stdout.write(JSON.stringify({ id: command.id, ...answer }) + "\n"));
}
