#!/usr/bin/env python3
"""A scripted model server: Anthropic messages, OpenAI responses + chat completions, Gemini. Each conversation: write a file, report complete, end."""
import json, sys, http.server, socketserver, re
LOG = open(sys.argv[1], "a", buffering=1)
def ev(name, obj): return (f"event: {name}\n" if name else "") + "data: " + json.dumps(obj) + "\n\n"
def anthropic_sse(blocks, stop):
    o = ev("message_start", {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"claude-x","content":[],"stop_reason":None,"stop_sequence":None,"usage":{"input_tokens":10,"output_tokens":1}}})
    for i,b in enumerate(blocks):
        if b["type"]=="text":
            o += ev("content_block_start", {"type":"content_block_start","index":i,"content_block":{"type":"text","text":""}})
            o += ev("content_block_delta", {"type":"content_block_delta","index":i,"delta":{"type":"text_delta","text":b["text"]}})
        else:
            o += ev("content_block_start", {"type":"content_block_start","index":i,"content_block":{"type":"tool_use","id":b["id"],"name":b["name"],"input":{}}})
            o += ev("content_block_delta", {"type":"content_block_delta","index":i,"delta":{"type":"input_json_delta","partial_json":json.dumps(b["input"])}})
        o += ev("content_block_stop", {"type":"content_block_stop","index":i})
    o += ev("message_delta", {"type":"message_delta","delta":{"stop_reason":stop,"stop_sequence":None},"usage":{"output_tokens":20}})
    return o + ev("message_stop", {"type":"message_stop"})
class H(http.server.BaseHTTPRequestHandler):
    protocol_version="HTTP/1.1"
    def log_message(self,*a): pass
    def out(self, body, ctype="text/event-stream", code=200):
        body=body.encode(); self.send_response(code); self.send_header("content-type",ctype); self.send_header("content-length",str(len(body))); self.end_headers(); self.wfile.write(body)
    def do_GET(self):
        LOG.write("GET "+self.path+"\n"); self.out(json.dumps({"data":[],"models":[]}),"application/json")
    do_HEAD=do_GET
    def do_POST(self):
        n=int(self.headers.get("content-length",0)); raw=self.rfile.read(n)
        try: r=json.loads(raw)
        except Exception: r={}
        tools=[t.get("name") or t.get("function",{}).get("name") or t.get("type") for t in r.get("tools",[]) if isinstance(t,dict)]
        LOG.write("POST %s model=%s stream=%s tools=%s\n"%(self.path,r.get("model"),r.get("stream"),tools))
        LOG.write("   BODY "+json.dumps(r.get("messages") or r.get("input") or r.get("contents"))[-1500:]+"\n")
        if "count_tokens" in self.path: return self.out(json.dumps({"input_tokens":10}),"application/json")
        if "/messages" in self.path: return self.anthropic(r,tools)
        if "/responses" in self.path: return self.oai_responses(r,tools)
        if "/chat/completions" in self.path: return self.chat(r,tools)
        if "generateContent" in self.path or "GenerateContent" in self.path: return self.gemini(r)
        self.out(json.dumps({}),"application/json")
    def anthropic(self,r,tools):
        results=json.dumps(r.get("messages",[])).count('"tool_result"')
        status=next((t for t in tools if t and t.endswith("report_status")),None)
        if not tools: blocks,stop=[{"type":"text","text":"Add greeting"}],"end_turn"
        elif results==0 and "Write" in tools:
            m=re.search(r'(/[^\s"\\\\<]*/worktrees/[^\s"\\\\</]+/[^\s"\\\\</]+)', json.dumps(r)); d=m.group(1) if m else '.'
            blocks,stop=[{"type":"text","text":"I will write it."},{"type":"tool_use","id":"tu_1","name":"Write","input":{"file_path":d+"/greeting.txt","content":"hello\n"}}],"tool_use"
        elif results<=1 and status:
            blocks,stop=[{"type":"tool_use","id":"tu_2","name":status,"input":{"state":"complete","message":"greeting is written"}}],"tool_use"
        else: blocks,stop=[{"type":"text","text":"Done."}],"end_turn"
        if r.get("stream"): self.out(anthropic_sse(blocks,stop))
        else: self.out(json.dumps({"id":"m","type":"message","role":"assistant","model":"x","content":blocks,"stop_reason":stop,"usage":{"input_tokens":1,"output_tokens":1}}),"application/json")
    def oai_responses(self,r,tools):
        results=sum(1 for i in r.get("input",[]) if isinstance(i,dict) and i.get("type","").endswith("_call_output"))
        flat=json.dumps(r.get("tools",[]))
        m=re.search(r'"name": "([^"]*report_status)"',flat)
        def item(it): return ev("response.output_item.done",{"type":"response.output_item.done","output_index":0,"item":it})
        shell="exec_command" if "exec_command" in flat else "shell_command" if "shell_command" in flat else "shell"
        if results==0:
            args={"cmd":"echo hello > greeting.txt"} if shell=="exec_command" else {"command":"echo hello > greeting.txt"} if shell=="shell_command" else {"command":["sh","-c","echo hello > greeting.txt"]}
            it={"type":"function_call","id":"fc1","call_id":"c1","name":shell,"arguments":json.dumps(args)}
        elif results==1 and "report_status" in flat:
            it={"type":"function_call","id":"fc2","call_id":"c2","name":m.group(1) if m else "mcp__maestro__report_status","arguments":json.dumps({"state":"complete","message":"greeting is written"})}
            if "mcp__maestro" in flat and (not m or not m.group(1).startswith("mcp__")): it["namespace"]="mcp__maestro__" if '"name": "mcp__maestro__"' in flat else "mcp__maestro"
        else: it={"type":"message","id":"m1","role":"assistant","content":[{"type":"output_text","text":"Done."}]}
        o=ev("response.created",{"type":"response.created","response":{"id":"r1"}})+item(it)+ev("response.completed",{"type":"response.completed","response":{"id":"r1","usage":{"input_tokens":1,"input_tokens_details":None,"output_tokens":1,"output_tokens_details":None,"total_tokens":2}}})
        LOG.write("   TOOLS "+flat[:6000]+"\n")
        self.out(o)
    def chat(self,r,tools):
        results=sum(1 for m in r.get("messages",[]) if m.get("role")=="tool")
        st=next((t for t in tools if t and t.endswith("report_status")),None)
        wr=next((t for t in tools if t in("write","create","write_file")),None); sh=next((t for t in tools if t in("bash","shell")),None)
        def call(n,a): return {"role":"assistant","content":None,"tool_calls":[{"index":0,"id":"c%d"%results,"type":"function","function":{"name":n,"arguments":json.dumps(a)}}]},"tool_calls"
        if tools and results==0 and sh: d,f=call(sh,{"command":"echo hello > greeting.txt","description":"write the greeting"})
        elif tools and results<=1 and st: d,f=call(st,{"state":"complete","message":"greeting is written"})
        else: d,f={"role":"assistant","content":"Done."},"stop"
        base={"id":"x","object":"chat.completion.chunk","created":1,"model":r.get("model","m")}
        if r.get("stream"):
            self.out(ev("",{**base,"choices":[{"index":0,"delta":d,"finish_reason":None}]})+ev("",{**base,"choices":[{"index":0,"delta":{},"finish_reason":f}]})+ev("",{**base,"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}})+"data: [DONE]\n\n")
        else:
            if "tool_calls" in d: [t.pop("index") for t in d["tool_calls"]]
            self.out(json.dumps({**base,"object":"chat.completion","choices":[{"index":0,"message":d,"finish_reason":f}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}),"application/json")
    def gemini(self,r):
        flat=json.dumps(r.get("tools",[])); results=json.dumps(r.get("contents",[])).count('"functionResponse"')
        m=re.search(r'"name": "([^"]*report_status)"',flat)
        if results==0 and "write_file" in flat: p={"functionCall":{"name":"write_file","args":{"file_path":"greeting.txt","content":"hello\n"}}}
        elif results<=1 and m: p={"functionCall":{"name":m.group(1),"args":{"state":"complete","message":"greeting is written"}}}
        elif not r.get("tools"): p={"text":"{\"reasoning\":\"x\",\"next_speaker\":\"user\",\"model_choice\":\"flash\",\"complexity_reasoning\":\"simple\",\"complexity_score\":1}"}
        else: p={"text":"Done."}
        o={"candidates":[{"content":{"role":"model","parts":[p]},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":1,"candidatesTokenCount":1,"totalTokenCount":2}}
        if "stream" in self.path: self.out(ev("",o))
        else: self.out(json.dumps(o),"application/json")
class S(socketserver.ThreadingMixIn,http.server.HTTPServer): daemon_threads=True
server = S(("127.0.0.1", 0), H)
print(server.server_address[1], flush=True)
server.serve_forever()
