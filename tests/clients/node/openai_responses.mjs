// Drives a gateway by the Responses API through OpenAI's own Node library and Vercel's AI SDK: whole, streamed, tools, what is kept. Argument: base URL.
import assert from 'node:assert';
import OpenAI from 'openai';
import { createOpenAI } from '@ai-sdk/openai';
import { generateText, stepCountIs, streamText, tool } from 'ai';
import { z } from 'zod';

const baseURL = process.argv[2];
const client = new OpenAI({ baseURL, apiKey: 'unused', maxRetries: 0 });
const weather = { type: 'function', name: 'weather', parameters: { type: 'object' }, strict: false };

const textOf = (answer) => answer.output.find((item) => item.type === 'message')?.content[0].text;
const thoughtOf = (answer) => answer.output.find((item) => item.type === 'reasoning').content[0].text;

// A streamed answer as its last event has it, and as its pieces say it.
const streamed = async (question) => {
  const pieces = {};
  let last;
  for await (const event of await client.responses.create({ ...question, stream: true })) {
    if (typeof event.delta === 'string') pieces[event.type] = (pieces[event.type] ?? '') + event.delta;
    last = event;
  }
  assert.equal(last.type, 'response.completed');
  assert.equal(pieces['response.output_text.delta'], textOf(last.response));
  assert.equal(pieces['response.reasoning_text.delta'], thoughtOf(last.response));
  const call = last.response.output.find((item) => item.type === 'function_call');
  assert.equal(pieces['response.function_call_arguments.delta'], call?.arguments);
  return last.response;
};

const library = async (model) => {
  const ask = { model, input: 'hello' };
  const whole = await client.responses.create(ask);
  assert.deepEqual([whole.output_text, whole.status, whole.usage.output_tokens], ['Hello.', 'completed', 4]);
  assert.equal(thoughtOf(whole), 'I think.');
  const said = await streamed(ask);
  assert.deepEqual([textOf(said), thoughtOf(said), said.usage.output_tokens], ['Hello.', 'I think.', 4]);

  let told;
  const gathered = (question) => client.responses.stream(question).finalResponse();
  for (const answer of [(question) => client.responses.create(question), streamed, gathered]) {
    const called = await answer({ model, input: 'weather?', tools: [weather] });
    const call = called.output.find((item) => item.type === 'function_call');
    assert.deepEqual(JSON.parse(call.arguments), { city: 'Oslo' });
    assert.equal(thoughtOf(called), 'I need the weather.');
    const result = { type: 'function_call_output', call_id: call.call_id, output: 'rain in Oslo' };
    told = await answer({ model, previous_response_id: called.id, input: [result], tools: [weather] });
    assert.deepEqual([textOf(told), thoughtOf(told)], ['The weather: rain in Oslo.', 'It is known now.']);
    const again = await answer({ model, store: false, input: [{ role: 'user', content: 'weather?' }, ...called.output, result], tools: [weather] });
    assert.equal(textOf(again), 'The weather: rain in Oslo.');
  }
  assert.equal((await client.responses.retrieve(told.id)).id, told.id);
  await client.responses.delete(told.id);
  await assert.rejects(client.responses.retrieve(told.id), (error) => error instanceof OpenAI.NotFoundError);
};

const run = tool({
  description: 'The weather of a city.',
  inputSchema: z.object({ city: z.string() }),
  execute: async ({ city }) => `rain in ${city}`,
});

// The thoughts of a step. The SDK reads summaries of thoughts alone: of one in the open it keeps the item, and counts its tokens.
const thoughts = (step, model, store) => {
  assert.equal(step.reasoning.length, 1);
  const { itemId, reasoningEncryptedContent } = step.reasoning[0].providerMetadata.openai;
  assert.ok(itemId);
  if (!store) assert.ok(reasoningEncryptedContent);
  if (model !== 'claude/m') assert.ok(step.usage.outputTokenDetails.reasoningTokens > 0);
};

// This is what the SDK speaks by default. Where answers are kept it goes on by naming their items; else it sends them whole.
const sdk = async (name, store) => {
  const model = createOpenAI({ baseURL, apiKey: 'unused' }).responses(name);
  const providerOptions = { openai: { store, include: ['reasoning.encrypted_content'] } };
  const plain = { model, prompt: 'hello', maxRetries: 0, providerOptions };
  const looped = { model, prompt: 'weather?', maxRetries: 0, tools: { weather: run }, stopWhen: stepCountIs(3), providerOptions };
  for (const [options, wanted, count] of [[plain, 'Hello.', 1], [looped, 'The weather: rain in Oslo.', 2]]) {
    const whole = await generateText(options);
    const stream = streamText(options);
    let said = '';
    for await (const piece of stream.textStream) said += piece;
    assert.deepEqual([whole.text, said], [wanted, wanted]);
    for (const steps of [whole.steps, await stream.steps]) {
      assert.equal(steps.length, count);
      for (const step of steps) thoughts(step, name, store);
    }
  }
};

// The same through upstreams of each kind.
for (const model of ['mock/m', 'openai/m', 'claude/m']) {
  await library(model);
  for (const store of [true, false]) await sdk(model, store);
}

console.log('all good');
