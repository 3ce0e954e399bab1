import { describeForwarding } from '../support/net/forwarding-suite.ts';

describeForwarding({ title: 'two-armed, one queue and worker', arms: 2, queues: 1 });
