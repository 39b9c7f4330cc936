/** A text that is as long as segments of the older stores were made. */
export type LongText = (text: string) => string;

/** The line of a conversation of the older stores, written down without the code that reads it. */
export function olderLine(
  long: LongText,
  id: string,
  model: string,
  text: string,
  more: readonly unknown[] = [],
): string {
  return `${JSON.stringify({
    id,
    model,
    application: 'chat',
    created_at: '2025-03-01T10:00:00Z',
    messages: [
      { role: 'system', content: long('You are a helpful assistant.') },
      { role: 'user', content: text },
      ...more,
    ],
  })}\n`;
}

/** The lines of the conversations that every older store holds. */
export function olderLines(long: LongText): string {
  return [
    olderLine(long, 'kept', 'gpt-4o', 'first'),
    olderLine(long, 'appended', 'gpt-4o', 'first', [
      { role: 'assistant', content: long('an answer') },
    ]),
    olderLine(long, 'replaced', 'o3', 'new'),
    '{"messages": [ {"role":"user","content":"without an id"} ]}\r\n',
  ].join('');
}
