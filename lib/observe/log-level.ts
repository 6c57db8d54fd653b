/** From the least severe to the most. */
export type LogLevel = 'debug' | 'info' | 'warn' | 'error';
