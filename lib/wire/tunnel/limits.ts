/** Limits of the encoding, in bytes. `docs/tunnel.md` lists them; the decoder checks each before it allocates. */

/** Payload of one data frame. */
export const maxDataBytes = 65_536;
/** Body of a Hello or a Renew: a token of 16 KiB and the rest. */
export const maxCredentialBodyBytes = 20_480;
/** Body of any other control frame. */
export const maxControlBodyBytes = 4_096;
/** Nonces, keys, secrets and proofs. */
export const keyBytes = 32;
export const signatureBytes = 64;
/** A former key of the gateway and its signature over the next, and how many of them a Challenge brings. */
export const rotationEntryBytes: 96 = 96;
export const maxRotations = 16;
export const maxRotationBytes: number = rotationEntryBytes * maxRotations;
/** Text that is shown to a person: Reset, Notice, GoAway. */
export const maxTextBytes = 1_024;
/** Ids: session, instance, decision, software. */
export const maxIdBytes = 128;
/** Streams are numbered up to this; a session that reaches it goes away and a fresh one is made. */
export const maxStreamId = 0x7fffffff;
