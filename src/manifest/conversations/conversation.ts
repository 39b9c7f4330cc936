/**
 * A conversation as callers get it: what was put, as JSON reads it. Varve keeps any JSON object and
 * checks none of this; it is what conversations commonly have. Whoever puts others names their
 * type: `get<ShareGptConversation>(id)`.
 */
export interface Conversation {
  id?: string;
  model?: string;
  application?: string;
  /** In the format of OpenAI, Anthropic or another. */
  messages?: ConversationMessage[];
  [key: string]: unknown;
}

/** A message as conversations commonly have it. */
export interface ConversationMessage {
  role?: string;
  /** A text, a list of parts, `null`, …: what it is depends on the format. */
  content?: unknown;
  [key: string]: unknown;
}
