/** One file of policies. */
export interface PolicyFile {
  /** As messages call it: its path or base name. */
  readonly name: string;
  readonly text: string;
}

/** What the configuration defines: a policy that names anything else could never match. */
export interface KnownNames {
  /** Configured names of issuers and certificate authorities. */
  readonly sources: readonly string[];
  readonly targets: readonly string[];
}

/** Decisions that are remembered, in all and of one principal: 11 MiB where each is of 512 characters. */
export const maxCachedDecisions = 16_384;
export const maxCachedDecisionsPerPrincipal = 4096;
/** Patterns that a context attribute is held against; where policies have more, its text is remembered instead. */
export const maxPatternsPerAttribute = 64;
/** Denials that `lockwire explain` still knows. */
export const maxDenials = 4096;
/** Of them, those of one principal: nobody can push another's denials out by asking for names at random. */
export const maxDenialsPerPrincipal = 256;
export const maxPolicies = 1000;
export const maxPolicyFileBytes = 1_048_576;
/**
 * How deep a policy may be before Cedar sees it. Measured: its parser breaks at 120 brackets, one inside the other, a
 * decision at an expression 360 deep, whatever it is made of; mixed ones went through at 1.75 times these.
 */
export const maxPolicyNesting = 48;
export const maxPolicyDepth = 160;
export const maxRuleIdChars = 128;
/** Longest text in a request, a path for one; longer ones are denied unread. */
export const maxRequestChars = 16_384;
/** Policies that are validated in one go (3 ms each at most): between them, traffic moves. */
export const policiesPerTurn = 4;
/** Rules that nearly permitted, in an explanation. */
export const maxNearMisses = 5;
/** Groups of the principal that an explanation lists. */
export const maxExplainedGroups = 32;
/** Characters of a peer's text in an explanation. */
export const maxExplainedChars = 256;
