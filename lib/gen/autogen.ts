// Written by 'npm run generate' from proto/agent_worker.proto and proto/cloudevent.proto; never edited.
export const autogenDescriptor: { readonly nested: Readonly<Record<string, unknown>> } = {
  "nested": {
    "agents": {
      "nested": {
        "AgentRpc": {
          "methods": {
            "OpenChannel": {
              "requestType": "Message",
              "requestStream": true,
              "responseType": "Message",
              "responseStream": true
            },
            "OpenControlChannel": {
              "requestType": "ControlMessage",
              "requestStream": true,
              "responseType": "ControlMessage",
              "responseStream": true
            },
            "RegisterAgent": {
              "requestType": "RegisterAgentTypeRequest",
              "responseType": "RegisterAgentTypeResponse"
            },
            "AddSubscription": {
              "requestType": "AddSubscriptionRequest",
              "responseType": "AddSubscriptionResponse"
            },
            "RemoveSubscription": {
              "requestType": "RemoveSubscriptionRequest",
              "responseType": "RemoveSubscriptionResponse"
            },
            "GetSubscriptions": {
              "requestType": "GetSubscriptionsRequest",
              "responseType": "GetSubscriptionsResponse"
            }
          }
        },
        "AgentId": {
          "fields": {
            "type": {
              "type": "string",
              "id": 1
            },
            "key": {
              "type": "string",
              "id": 2
            }
          }
        },
        "Payload": {
          "fields": {
            "dataType": {
              "type": "string",
              "id": 1,
              "protoName": "data_type"
            },
            "dataContentType": {
              "type": "string",
              "id": 2,
              "protoName": "data_content_type"
            },
            "data": {
              "type": "bytes",
              "id": 3
            }
          }
        },
        "RpcRequest": {
          "oneofs": {
            "_source": {
              "oneof": [
                "source"
              ]
            }
          },
          "fields": {
            "requestId": {
              "type": "string",
              "id": 1,
              "protoName": "request_id"
            },
            "source": {
              "type": "AgentId",
              "id": 2,
              "options": {
                "proto3_optional": true
              }
            },
            "target": {
              "type": "AgentId",
              "id": 3
            },
            "method": {
              "type": "string",
              "id": 4
            },
            "payload": {
              "type": "Payload",
              "id": 5
            },
            "metadata": {
              "keyType": "string",
              "type": "string",
              "id": 6
            }
          }
        },
        "RpcResponse": {
          "fields": {
            "requestId": {
              "type": "string",
              "id": 1,
              "protoName": "request_id"
            },
            "payload": {
              "type": "Payload",
              "id": 2
            },
            "error": {
              "type": "string",
              "id": 3
            },
            "metadata": {
              "keyType": "string",
              "type": "string",
              "id": 4
            }
          }
        },
        "Message": {
          "oneofs": {
            "message": {
              "oneof": [
                "request",
                "response",
                "cloudEvent"
              ]
            }
          },
          "fields": {
            "request": {
              "type": "RpcRequest",
              "id": 1
            },
            "response": {
              "type": "RpcResponse",
              "id": 2
            },
            "cloudEvent": {
              "type": "io.cloudevents.v1.CloudEvent",
              "id": 3
            }
          }
        },
        "RegisterAgentTypeRequest": {
          "fields": {
            "type": {
              "type": "string",
              "id": 1
            }
          }
        },
        "RegisterAgentTypeResponse": {
          "fields": {}
        },
        "TypeSubscription": {
          "fields": {
            "topicType": {
              "type": "string",
              "id": 1,
              "protoName": "topic_type"
            },
            "agentType": {
              "type": "string",
              "id": 2,
              "protoName": "agent_type"
            }
          }
        },
        "TypePrefixSubscription": {
          "fields": {
            "topicTypePrefix": {
              "type": "string",
              "id": 1,
              "protoName": "topic_type_prefix"
            },
            "agentType": {
              "type": "string",
              "id": 2,
              "protoName": "agent_type"
            }
          }
        },
        "Subscription": {
          "oneofs": {
            "subscription": {
              "oneof": [
                "typeSubscription",
                "typePrefixSubscription"
              ]
            }
          },
          "fields": {
            "id": {
              "type": "string",
              "id": 1
            },
            "typeSubscription": {
              "type": "TypeSubscription",
              "id": 2
            },
            "typePrefixSubscription": {
              "type": "TypePrefixSubscription",
              "id": 3
            }
          }
        },
        "AddSubscriptionRequest": {
          "fields": {
            "subscription": {
              "type": "Subscription",
              "id": 1
            }
          }
        },
        "AddSubscriptionResponse": {
          "fields": {}
        },
        "RemoveSubscriptionRequest": {
          "fields": {
            "id": {
              "type": "string",
              "id": 1
            }
          }
        },
        "RemoveSubscriptionResponse": {
          "fields": {}
        },
        "GetSubscriptionsRequest": {
          "fields": {}
        },
        "GetSubscriptionsResponse": {
          "fields": {
            "subscriptions": {
              "rule": "repeated",
              "type": "Subscription",
              "id": 1
            }
          }
        },
        "SaveStateRequest": {
          "fields": {
            "agentId": {
              "type": "AgentId",
              "id": 1
            }
          }
        },
        "SaveStateResponse": {
          "oneofs": {
            "_error": {
              "oneof": [
                "error"
              ]
            }
          },
          "fields": {
            "state": {
              "type": "string",
              "id": 1
            },
            "error": {
              "type": "string",
              "id": 2,
              "options": {
                "proto3_optional": true
              }
            }
          }
        },
        "LoadStateRequest": {
          "fields": {
            "agentId": {
              "type": "AgentId",
              "id": 1
            },
            "state": {
              "type": "string",
              "id": 2
            }
          }
        },
        "LoadStateResponse": {
          "oneofs": {
            "_error": {
              "oneof": [
                "error"
              ]
            }
          },
          "fields": {
            "error": {
              "type": "string",
              "id": 1,
              "options": {
                "proto3_optional": true
              }
            }
          }
        },
        "ControlMessage": {
          "oneofs": {
            "_respondTo": {
              "oneof": [
                "respondTo"
              ]
            }
          },
          "fields": {
            "rpcId": {
              "type": "string",
              "id": 1,
              "protoName": "rpc_id"
            },
            "destination": {
              "type": "string",
              "id": 2
            },
            "respondTo": {
              "type": "string",
              "id": 3,
              "protoName": "respond_to",
              "options": {
                "proto3_optional": true
              }
            },
            "rpcMessage": {
              "type": "google.protobuf.Any",
              "id": 4
            }
          }
        }
      }
    },
    "io": {
      "nested": {
        "cloudevents": {
          "nested": {
            "v1": {
              "nested": {
                "CloudEvent": {
                  "oneofs": {
                    "data": {
                      "oneof": [
                        "binaryData",
                        "textData",
                        "protoData"
                      ]
                    }
                  },
                  "fields": {
                    "id": {
                      "type": "string",
                      "id": 1
                    },
                    "source": {
                      "type": "string",
                      "id": 2
                    },
                    "specVersion": {
                      "type": "string",
                      "id": 3,
                      "protoName": "spec_version"
                    },
                    "type": {
                      "type": "string",
                      "id": 4
                    },
                    "attributes": {
                      "keyType": "string",
                      "type": "CloudEventAttributeValue",
                      "id": 5
                    },
                    "binaryData": {
                      "type": "bytes",
                      "id": 6,
                      "protoName": "binary_data"
                    },
                    "textData": {
                      "type": "string",
                      "id": 7,
                      "protoName": "text_data"
                    },
                    "protoData": {
                      "type": "google.protobuf.Any",
                      "id": 8,
                      "protoName": "proto_data"
                    }
                  },
                  "nested": {
                    "CloudEventAttributeValue": {
                      "oneofs": {
                        "attr": {
                          "oneof": [
                            "ceBoolean",
                            "ceInteger",
                            "ceString",
                            "ceBytes",
                            "ceUri",
                            "ceUriRef",
                            "ceTimestamp"
                          ]
                        }
                      },
                      "fields": {
                        "ceBoolean": {
                          "type": "bool",
                          "id": 1,
                          "protoName": "ce_boolean"
                        },
                        "ceInteger": {
                          "type": "int32",
                          "id": 2,
                          "protoName": "ce_integer"
                        },
                        "ceString": {
                          "type": "string",
                          "id": 3,
                          "protoName": "ce_string"
                        },
                        "ceBytes": {
                          "type": "bytes",
                          "id": 4,
                          "protoName": "ce_bytes"
                        },
                        "ceUri": {
                          "type": "string",
                          "id": 5,
                          "protoName": "ce_uri"
                        },
                        "ceUriRef": {
                          "type": "string",
                          "id": 6,
                          "protoName": "ce_uri_ref"
                        },
                        "ceTimestamp": {
                          "type": "google.protobuf.Timestamp",
                          "id": 7,
                          "protoName": "ce_timestamp"
                        }
                      }
                    }
                  }
                }
              }
            }
          }
        }
      }
    },
    "google": {
      "nested": {
        "protobuf": {
          "nested": {
            "Any": {
              "fields": {
                "type_url": {
                  "type": "string",
                  "id": 1
                },
                "value": {
                  "type": "bytes",
                  "id": 2
                }
              }
            },
            "Timestamp": {
              "fields": {
                "seconds": {
                  "type": "int64",
                  "id": 1
                },
                "nanos": {
                  "type": "int32",
                  "id": 2
                }
              }
            }
          }
        }
      }
    }
  }
};
