// Drives a gateway through OpenAI's own Node library: whole, streamed, a tool loop both ways, reasoning, an error. Argument: base URL.
import assert from 'node:assert';
import OpenAI from 'openai';

const client = new OpenAI({ baseURL: process.argv[2], apiKey: 'unused', maxRetries: 0 });
const messages = [{ role: 'user', content: 'hello' }];

// The same through upstreams of each kind.
for (const model of ['mock/m', 'openai/m', 'claude/m']) {
  const whole = await client.chat.completions.create({ model, messages });
  assert.equal(whole.choices[0].message.content, 'Hello.');
  assert.equal(whole.choices[0].message.reasoning_content, 'I think.');

  const stream = await client.chat.completions.create({
    model,
    messages,
    stream: true,
    stream_options: { include_usage: true },
  });
  let text = '';
  let thought = '';
  let usage;
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta.content ?? '';
    thought += chunk.choices[0]?.delta.reasoning_content ?? '';
    usage = chunk.usage ?? usage;
  }
  assert.deepEqual([text, thought, usage.completion_tokens], ['Hello.', 'I think.', 4]);

  for (const stream of [false, true]) {
    const loop = client.chat.completions.runTools({
      model,
      messages: [{ role: 'user', content: 'weather?' }],
      stream,
      tools: [
        {
          type: 'function',
          function: {
            name: 'weather',
            parameters: { type: 'object', properties: { city: { type: 'string' } } },
            parse: JSON.parse,
            function: ({ city }) => `rain in ${city}`,
          },
        },
      ],
    });
    // The library keeps only the last piece of a field that it does not know: its events have all of them.
    let thoughts = '';
    if (stream) loop.on('chunk', (chunk) => (thoughts += chunk.choices[0]?.delta.reasoning_content ?? ''));
    else loop.on('message', (message) => (thoughts += message.reasoning_content ?? ''));
    assert.equal(await loop.finalContent(), 'The weather: rain in Oslo.');
    assert.equal(thoughts, 'I need the weather.It is known now.');
  }
}

await assert.rejects(
  client.chat.completions.create({ model: 'no-such-model', messages }),
  (error) => error instanceof OpenAI.NotFoundError && error.code === 'model_not_found',
);

console.log('all good');
