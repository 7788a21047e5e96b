# SPDX-License-Identifier: MIT
"""
The agents that ./dev agents tries: what npm installs, how each is started, and how it is pointed at
another model. In texts, {url} is the model's address, {model} its name, {home} the agent's home and
{bin} the folder with its programs.
"""

import dataclasses
import json


@dataclasses.dataclass
class Agent:
    name: str
    packages: dict  # versions by name; the first one is the agent
    command: list
    env: dict = dataclasses.field(default_factory=dict)
    files: dict = dataclasses.field(default_factory=dict)  # in its home; objects are written as JSON
    login_env: dict = dataclasses.field(default_factory=dict)  # with these it is logged in
    login_files: dict = dataclasses.field(default_factory=dict)
    runner: dict = dataclasses.field(default_factory=dict)
    limit_timeout: int = 60  # seconds for which it may retry after a 429
    # Known deviations by case: the outcomes to accept, and why.
    known: dict = dataclasses.field(default_factory=dict)

    @property
    def can_log_in(self):
        return bool(self.login_env or self.login_files)


CODEX = """
model = "{model}"
model_provider = "scripted"
approval_policy = "on-request"
sandbox_mode = "read-only"

[model_providers.scripted]
name = "scripted"
base_url = "{url}/v1"
wire_api = "responses"
env_key = "SCRIPTED_KEY"
request_max_retries = 1
stream_max_retries = 1
requires_openai_auth = false
"""

OPENCODE = {"autoupdate": False, "share": "disabled", "permission": {"edit": "ask", "bash": "ask"}}

AGENTS = [
    Agent(
        "claude", {"@agentclientprotocol/claude-agent-acp": "0.101.0"}, ["claude-agent-acp"],
        env={"IS_SANDBOX": "1", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
             "DISABLE_TELEMETRY": "1", "CLAUDE_CODE_MAX_RETRIES": "2"},
        login_env={"ANTHROPIC_API_KEY": "scripted", "ANTHROPIC_BASE_URL": "{url}"},
        runner={"mode": "default"}),
    Agent(
        "codex", {"@agentclientprotocol/codex-acp": "2.6.0"}, ["codex-acp"],
        login_env={"SCRIPTED_KEY": "scripted"},
        login_files={".codex/config.toml": CODEX},
        runner={"mode": "read-only"}),
    Agent(
        "copilot", {"@github/copilot": "1.0.102"}, ["copilot", "--acp"],
        env={"COPILOT_AUTO_UPDATE": "false"},
        login_env={"COPILOT_PROVIDER_BASE_URL": "{url}/v1", "COPILOT_PROVIDER_TYPE": "openai",
                   "COPILOT_PROVIDER_API_KEY": "scripted", "COPILOT_MODEL": "{model}",
                   "COPILOT_OFFLINE": "true"},
        runner={"startTimeout": 120},
        known={"rejected": (["completed"], "Its answer is \"Info: Operation cancelled by user\" "
                                           "instead of the model's.")}),
    Agent(
        "gemini", {"@google/gemini-cli": "0.61.0"}, ["gemini", "--acp"],
        env={"GEMINI_TELEMETRY_ENABLED": "false"},
        files={".gemini/settings.json": {
            "security": {"folderTrust": {"enabled": False}},
            "general": {"disableAutoUpdate": True}, "privacy": {"usageStatisticsEnabled": False}}},
        login_env={"GEMINI_API_KEY": "scripted", "GOOGLE_GEMINI_BASE_URL": "{url}"},
        login_files={".gemini/settings.json": {
            "security": {"auth": {"selectedType": "gemini-api-key"},
                         "folderTrust": {"enabled": False}},
            "general": {"disableAutoUpdate": True}, "privacy": {"usageStatisticsEnabled": False}}},
        runner={"mode": "default"}, limit_timeout=600,
        known={"limit": (["rate_limit"], "After six minutes of silent retries; needs a "
                                         "`stallTimeout` of 400 s.")}),
    Agent(
        "opencode", {"opencode-ai": "1.18.33"}, ["opencode", "acp"],
        env={"OPENCODE_DISABLE_AUTOUPDATE": "1", "OPENCODE_DISABLE_MODELS_FETCH": "1"},
        files={".config/opencode/opencode.json": OPENCODE},
        login_files={".config/opencode/opencode.json": {
            **OPENCODE, "model": "scripted/{model}", "small_model": "scripted/{model}",
            "provider": {"scripted": {
                "npm": "@ai-sdk/openai-compatible", "name": "Scripted",
                "options": {"baseURL": "{url}/v1", "apiKey": "scripted"},
                "models": {"{model}": {"name": "Scripted",
                                       "limit": {"context": 100000, "output": 4000},
                                       "cost": {"input": 1, "output": 2}}}}}}},
        known={"stranger": (["exit", "completed"],
                            "Without a login it uses a free remote model; `exit` if that is "
                            "unreachable.")}),
    Agent(
        "pi", {"pi-acp": "0.0.34", "@earendil-works/pi-coding-agent": "1.6.0"}, ["pi-acp"],
        env={"PI_OFFLINE": "1", "PI_SKIP_VERSION_CHECK": "1"},
        login_files={
            ".pi/agent/settings.json": {"defaultProvider": "scripted", "defaultModel": "{model}",
                                        "quietStartup": True},
            ".pi/agent/models.json": {"providers": {"scripted": {
                "baseUrl": "{url}/v1", "api": "openai-completions", "apiKey": "scripted",
                "models": [{"id": "{model}", "name": "Scripted", "reasoning": False,
                            "input": ["text"], "contextWindow": 100000, "maxTokens": 4000,
                            "cost": {"input": 1, "output": 2, "cacheRead": 0,
                                     "cacheWrite": 0}}]}}}},
        runner={"startTimeout": 150},
        known={"allowed": (["completed"], "It never asks."),
               "rejected": (["completed"], "It never asks."),
               "hiccup": (["completed"], "Its own remarks are part of the model's message."),
               "limit": (["completed"], "It ends its turn as if it had succeeded and reports "
                                        "nothing else to its client."),
               "login": (["completed"], "It ends its turn as if it had succeeded and reports "
                                        "nothing else to its client.")}),
    Agent(
        "qwen", {"@qwen-code/qwen-code": "0.24.4"}, ["qwen", "--acp"],
        files={".qwen/settings.json": {"general": {"disableAutoUpdate": True},
                                       "privacy": {"usageStatisticsEnabled": False}}},
        login_env={"OPENAI_API_KEY": "scripted", "OPENAI_BASE_URL": "{url}/v1",
                   "OPENAI_MODEL": "{model}"},
        login_files={".qwen/settings.json": {
            "security": {"auth": {"selectedType": "openai"}},
            "general": {"disableAutoUpdate": True}, "privacy": {"usageStatisticsEnabled": False}}},
        runner={"mode": "default"},
        known={"limit": (["timeout"], "It retries silently forever.")}),
    Agent(
        "cline", {"cline": "3.0.65"}, ["cline", "--acp"],
        env={"CLINE_NO_AUTO_UPDATE": "1"},
        login_env={"CLINE_API_KEY": "scripted", "CLINE_PROVIDER": "openai-compatible",
                   "CLINE_MODEL": "{model}"},
        login_files={".cline/data/settings/providers.json": {
            "version": 1, "lastUsedProvider": "openai-compatible", "modes": {}, "providers": {
                "openai-compatible": {
                    "updatedAt": "2026-01-01T00:00:00.000Z", "tokenSource": "manual",
                    "settings": {"provider": "openai-compatible", "apiKey": "scripted",
                                 "model": "{model}", "baseUrl": "{url}/v1"}}}}},
        known={"silence": (["completed"], "It stops commands after 30 seconds.")}),
    Agent(
        "auggie", {"@augmentcode/auggie": "0.36.0"}, ["auggie", "--acp"],
        known={"stranger": (["auth"], "It needs an account and cannot be pointed at another model.")}),
]


def filled(value, names):
    """A text, or an object as JSON, with {names} filled in."""
    text = value if isinstance(value, str) else json.dumps(value, indent=2)
    for name, word in names.items():
        text = text.replace("{" + name + "}", word)
    return text
