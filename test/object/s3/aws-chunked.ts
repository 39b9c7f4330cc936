/**
 * Decodes `Content-Encoding: aws-chunked`: chunks with a size in hex and perhaps a signature, then
 * trailers.
 */
export function decodeAwsChunked(encoded: Buffer): {
  body: Buffer;
  trailers: Record<string, string>;
} {
  const chunks: Buffer[] = [];
  let position = 0;
  const line = () => {
    const end = encoded.indexOf('\r\n', position);
    if (end < 0) throw new Error('aws-chunked: a line does not end');
    const text = encoded.toString('latin1', position, end);
    position = end + 2;
    return text;
  };
  for (;;) {
    const length = Number.parseInt(line(), 16);
    if (Number.isNaN(length)) throw new Error('aws-chunked: a chunk has no length');
    if (length === 0) break;
    if (position + length + 2 > encoded.length) throw new Error('aws-chunked: a chunk ends early');
    chunks.push(encoded.subarray(position, position + length));
    position += length + 2;
  }
  const trailers: Record<string, string> = {};
  while (position < encoded.length) {
    const [name = '', ...value] = line().split(':');
    if (name !== '') trailers[name.toLowerCase()] = value.join(':').trim();
  }
  return { body: Buffer.concat(chunks), trailers };
}
