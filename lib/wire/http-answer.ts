/** A whole HTTP/1.1 response of a line of text, after which the connection ends. No header lets a web page read it. */
export function httpAnswer(status: string, text: string, headers: readonly string[] = []): string {
  const body = `${text}\n`;
  return [
    `HTTP/1.1 ${status}`,
    'Content-Type: text/plain; charset=utf-8',
    'X-Content-Type-Options: nosniff',
    'Cache-Control: no-store',
    ...headers,
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
    '',
    body,
  ].join('\r\n');
}
