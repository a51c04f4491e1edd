// Drives a gateway by the Responses API through OpenAI's own Node library and Vercel's AI SDK: whole, streamed, tools, what is kept. Argument: base URL.
import assert from 'node:assert';
import OpenAI from 'openai';
import { createOpenAI } from '@ai-sdk/openai';
import { generateText, stepCountIs, streamText, tool } from 'ai';
import { z } from 'zod';

const baseURL = process.argv[2];
const client = new OpenAI({ baseURL, apiKey: 'unused', maxRetries: 0 });
const ask = { model: 'mock/m', input: 'hello' };

const whole = await client.responses.create(ask);
assert.deepEqual([whole.output_text, whole.status, whole.usage.output_tokens], ['Hello.', 'completed', 4]);
assert.equal(whole.output[0].content[0].text, 'I think.');

let text = '';
let last;
for await (const event of await client.responses.create({ ...ask, stream: true })) {
  if (event.type === 'response.output_text.delta') text += event.delta;
  last = event;
}
assert.deepEqual([text, last.type, last.response.output_text ?? text], ['Hello.', 'response.completed', 'Hello.']);

const stream = client.responses.stream({ ...ask, input: 'weather?', tools: [{ type: 'function', name: 'weather', parameters: { type: 'object' }, strict: false }] });
const called = await stream.finalResponse();
const call = called.output.find((item) => item.type === 'function_call');
assert.equal(call.arguments, '{"city": "Oslo"}');
const told = await client.responses.create({
  model: 'mock/m',
  previous_response_id: called.id,
  input: [{ type: 'function_call_output', call_id: call.call_id, output: 'rain in Oslo' }],
});
assert.equal(told.output_text, 'The weather: rain in Oslo.');
assert.equal((await client.responses.retrieve(told.id)).id, told.id);
await client.responses.delete(told.id);
await assert.rejects(client.responses.retrieve(told.id), (error) => error instanceof OpenAI.NotFoundError);

const weather = tool({
  description: 'The weather of a city.',
  inputSchema: z.object({ city: z.string() }),
  execute: async ({ city }) => `rain in ${city}`,
});
// This is what the SDK speaks by default. Where answers are kept it goes on by naming their items; else it sends them whole.
for (const store of [true, false]) {
  const model = createOpenAI({ baseURL, apiKey: 'unused' }).responses('mock/m');
  const providerOptions = { openai: { store } };
  const plain = { model, prompt: 'hello', maxRetries: 0, providerOptions };
  const looped = { model, prompt: 'weather?', maxRetries: 0, tools: { weather }, stopWhen: stepCountIs(3), providerOptions };
  assert.equal((await generateText(plain)).text, 'Hello.');
  assert.equal((await generateText(looped)).text, 'The weather: rain in Oslo.');
  for (const [options, wanted] of [[plain, 'Hello.'], [looped, 'The weather: rain in Oslo.']]) {
    let said = '';
    for await (const piece of streamText(options).textStream) said += piece;
    assert.equal(said, wanted);
  }
}

console.log('all good');
