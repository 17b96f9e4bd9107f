// Starts the till page: claims the tab's name, opens the update stream, mounts, repeats what a reload interrupted.
import { mount } from "svelte";
import "./look/base.css";
import "./look/keys.css";
import "./look/print.css";
import App from "./App.svelte";
import { resumeOrder, resumeWrites } from "./shop/resume.ts";
import { claimTab } from "./shop/keys.ts";
import { keyboard } from "./shop/keyboard.svelte.ts";
import { kit } from "./shop/updates.svelte.ts";

await claimTab();
kit.start();
keyboard.start();
const target = document.getElementById("app");
if (target === null) throw new Error("index.html has the element the page is mounted in");
mount(App, { target });
void resumeOrder();
resumeWrites();
