export function tooLongText(length: number, limit: number): string {
  return `the message is ${length} bytes long, the most is ${limit}`;
}

export function noRoomText(length: number): string {
  return `the gateway has no room for a message of ${length} bytes now`;
}
