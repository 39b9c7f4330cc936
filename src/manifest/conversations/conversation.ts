/**
 * A conversation as callers get it: what was put, parsed from JSON. Varve stores any JSON object
 * and checks none of these fields; they are what conversations commonly have. For other shapes,
 * name the type: `get<ShareGptConversation>(id)`.
 */
export interface Conversation {
  id?: string;
  model?: string;
  application?: string;
  /** Messages in the format of OpenAI, Anthropic or another. */
  messages?: ConversationMessage[];
  [key: string]: unknown;
}

/** A message as conversations commonly have it. */
export interface ConversationMessage {
  role?: string;
  /** A text, a list of parts, `null`, …: it depends on the format. */
  content?: unknown;
  [key: string]: unknown;
}
