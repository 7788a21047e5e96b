import { render } from 'preact';
import '@fontsource-variable/inter/wght.css';
import 'uplot/dist/uPlot.min.css';
import './styles/tokens.css';
import './styles/base.css';
import './styles/layout.css';
import './styles/components.css';
import './styles/profiles.css';
import './styles/tasks.css';
import './styles/analytics.css';
import { App } from './App';
import { startKeys } from './keys';
import { startLive } from './live';
import { startRouter } from './router';

startRouter();
startKeys();
startLive();
render(<App />, document.getElementById('app')!);
