// Drives a gateway through Vercel's AI SDK, by both of its providers that fit: whole, streamed, a tool loop, reasoning. Argument: base URL.
import assert from 'node:assert';
import { createOpenAI } from '@ai-sdk/openai';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { generateText, stepCountIs, streamText, tool } from 'ai';
import { z } from 'zod';

const baseURL = process.argv[2];
const weather = tool({
  description: 'The weather of a city.',
  inputSchema: z.object({ city: z.string() }),
  execute: async ({ city }) => `rain in ${city}`,
});

const textOf = async (answer) => {
  let text = '';
  for await (const piece of answer.textStream) text += piece;
  return text;
};

// The same through upstreams of each kind.
for (const name of ['mock/m', 'openai/m', 'claude/m']) {
  const own = createOpenAI({ baseURL, apiKey: 'unused' }).chat(name);
  const compatible = createOpenAICompatible({ name: 'gatewright', baseURL }).chatModel(name);
  for (const model of [own, compatible]) {
    const plain = { model, prompt: 'hello', maxRetries: 0 };
    const looped = { model, prompt: 'weather?', maxRetries: 0, tools: { weather }, stopWhen: stepCountIs(3) };
    const whole = await generateText(plain);
    assert.equal(whole.text, 'Hello.');
    const called = await generateText(looped);
    assert.equal(called.text, 'The weather: rain in Oslo.');
    const streamed = streamText(plain);
    assert.equal(await textOf(streamed), 'Hello.');
    const calledInPieces = streamText(looped);
    assert.equal(await textOf(calledInPieces), 'The weather: rain in Oslo.');
    if (model === compatible) {
      assert.equal(whole.reasoningText, 'I think.');
      assert.equal(await streamed.reasoningText, 'I think.');
      for (const steps of [called.steps, await calledInPieces.steps]) assert.equal(steps[0].reasoningText, 'I need the weather.');
    } else {
      // It reads no thoughts from chat completions; it counts their tokens, where an upstream does.
      if (name === 'claude/m') continue;
      for (const usage of [whole.usage, await streamed.usage]) assert.ok(usage.outputTokenDetails.reasoningTokens > 0);
    }
  }
}

console.log('all good');
