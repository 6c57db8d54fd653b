/**
 * The vocabulary of policies: a contract with whoever writes them. `docs/policy.cedarschema` is the same text, and a
 * test holds the two together; it stands here so that nothing is read from disk when the program runs.
 */
export const policySchema: string = `// The vocabulary of Lockwire's policies. docs/policy.md explains it.
namespace Lockwire {
  // "issuer/group": the issuer by its configured name, the group as the issuer gives it.
  entity Group;

  // "issuer|sub". The e-mail is there only where the issuer says that it verified it.
  entity User in [Group] {
    issuer: String,
    email?: String,
  };

  // "name|san": a certificate, by its authority's configured name and its SPIFFE ID or DNS name;
  // or "issuer|sub": a CI token.
  entity Workload in [Group] {
    source: String,
    name: String,
  };

  // A target of the configuration, by name.
  entity Target;

  // What a target holds: "target/name".
  entity AgentType in [Target];
  entity TopicType in [Target];
  entity Tool in [Target];
  entity Model in [Target];

  // What can be administered: "sessions", "revocations", "metrics", …
  entity Admin;

  // Open streams to a target.
  action connect appliesTo {
    principal: [User, Workload],
    resource: [Target],
    context: {},
  };

  // Serve a target.
  action expose appliesTo {
    principal: [User, Workload],
    resource: [Target],
    context: {},
  };

  // One HTTP request.
  action call appliesTo {
    principal: [User, Workload],
    resource: [Target, Tool, Model],
    context: {
      method: String,
      host: String,
      path: String,
    },
  };

  // One message of a dialect.
  action message appliesTo {
    principal: [User, Workload],
    resource: [Target, AgentType, TopicType, Tool, Model],
    context: {
      operation: String,
      agentType?: String,
      agentKey?: String,
      topicType?: String,
      topicSource?: String,
      // A subscription to all topic types that begin so.
      prefix?: Bool,
    },
  };

  action admin appliesTo {
    principal: [User, Workload],
    resource: [Admin],
    context: {},
  };
}
`;
